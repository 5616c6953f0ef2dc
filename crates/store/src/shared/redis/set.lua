-- Sets fields of a session that there is. KEYS: the session. ARGV: fields and values.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
