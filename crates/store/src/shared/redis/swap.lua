-- Sets a field of a session if it is what it was.
-- KEYS: the session. ARGV: the field, whether it was there, what it was, whether it is to be there, what it is to be.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local now = redis.call('HGET', KEYS[1], ARGV[1])
if ARGV[2] == '1' then
  if now ~= ARGV[3] then return 0 end
elseif now then
  return 0
end
if ARGV[4] == '1' then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[5])
else
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return 1
