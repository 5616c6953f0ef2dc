-- Takes a field of a session away. KEYS: the session. ARGV: the field. Answers what it was.
local was = redis.call('HGET', KEYS[1], ARGV[1])
if was then redis.call('HDEL', KEYS[1], ARGV[1]) end
return was
