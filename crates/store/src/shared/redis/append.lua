-- Writes an event to a log of a session.
-- KEYS: the session, the log. ARGV: name of the log, holder, text, last, most events, most bytes, life in milliseconds,
-- then fields and values. Answers its number, 0 where it is refused, and the field `listener`.
local session, log = KEYS[1], KEYS[2]
local name, holder = ARGV[1], ARGV[2]
if redis.call('EXISTS', session) == 0 then return {0, ''} end
if holder ~= '' and redis.call('HGET', session, 'h:' .. name) ~= holder then return {0, ''} end
local number = redis.call('HINCRBY', session, 'n:' .. name, 1)
redis.call('RPUSH', log, ARGV[3])
local bytes = redis.call('HINCRBY', session, 'b:' .. name, #ARGV[3])
while redis.call('LLEN', log) > 1 and (bytes > tonumber(ARGV[6]) or redis.call('LLEN', log) > tonumber(ARGV[5])) do
  bytes = redis.call('HINCRBY', session, 'b:' .. name, -#redis.call('LPOP', log))
end
redis.call('PEXPIRE', log, ARGV[7])
if ARGV[4] == '1' then
  redis.call('HSET', session, 'o:' .. name, '1')
else
  -- A session is in use while it is written to.
  redis.call('PEXPIRE', session, ARGV[7])
end
for at = 8, #ARGV, 2 do redis.call('HSET', session, ARGV[at], ARGV[at + 1]) end
return {number, redis.call('HGET', session, 'listener') or ''}
