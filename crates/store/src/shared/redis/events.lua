-- Events of a log behind a number.
-- KEYS: the session, the log. ARGV: name of the log, the number, most events.
-- Answers what it is (0: events, 1: unknown, 2: gone), whether it is over, the number of the first event, the holder, events.
local session, log = KEYS[1], KEYS[2]
local name, after = ARGV[1], tonumber(ARGV[2])
local holder = redis.call('HGET', session, 'h:' .. name)
local number = tonumber(redis.call('HGET', session, 'n:' .. name) or '0')
if not holder and number == 0 then return {'1', '0', '0', ''} end
local count = redis.call('LLEN', log)
local first = number - count + 1
if after + 1 < first or after > number then return {'2', '0', '0', ''} end
local from = after + 1 - first
local events = redis.call('LRANGE', log, from, from + tonumber(ARGV[3]) - 1)
local over = redis.call('HGET', session, 'o:' .. name) == '1' and after + #events == number
local answer = {'0', over and '1' or '0', tostring(after + 1), holder or ''}
for _, event in ipairs(events) do answer[#answer + 1] = event end
return answer
