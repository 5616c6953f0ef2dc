-- What replicas share: each tells what it has used, and is given a ceiling up to which it may use more.
--
-- A counter is a hash. Field `r:REPLICA` is `used:ceiling:version:deadline:process:number`, field `b:BUCKET` what was
-- used in a bucket of time (minutes and sliding windows only; of a minute, a second), field `born` when the server began
-- to know the counter anew, field `short` when a replica was refused last, field `t:REPLICA` that it has told what it
-- used in the last minute (minutes only). In all of them
--
--   used by all + what replicas may still use <= limit
--
-- holds after every call, but for what was used regardless. The clock is the server's alone.
-- A bucket counts whole until the last moment that lies in it has left the window.
-- Amounts are exact up to 2^53.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local me, process, previous = ARGV[1], ARGV[2], ARGV[3]
local life, grace = tonumber(ARGV[4]), tonumber(ARGV[5])
local ENDLESS = 9007199254740991
-- So long after a replica was refused nobody holds anything in advance, milliseconds.
local SHORT = 2000

local function text(number) return string.format('%.0f', number) end

-- Whether the server has just begun: then it may have lost what it knew.
local uptime
local function is_young()
  if not uptime then
    uptime = tonumber(string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)') or '0') * 1000
  end
  return uptime < grace
end

local at = 5
local function take()
  at = at + 1
  return ARGV[at]
end
local function take_number() return tonumber(take()) end

local function read_ask(key)
  local ask = { key = key, kind = take(), limit = take_number() }
  for _, name in ipairs({ 'used', 'acknowledged', 'recent', 'hold', 'need', 'asked', 'want', 'version', 'lifetime',
    'length', 'width', 'number' }) do
    ask[name] = take_number()
  end
  if ask.limit < 0 then ask.limit = ENDLESS end
  if ask.width > 0 then ask.bucket = math.floor(now / ask.width) end
  ask.corrections, ask.ledger = {}, nil
  for _ = 1, take_number() do
    local when = take_number()
    ask.corrections[#ask.corrections + 1] = { when, take_number() }
  end
  local known = take_number()
  if known >= 0 then
    ask.ledger = {}
    for _ = 1, known do
      local replica = take()
      ask.ledger[#ask.ledger + 1] = { replica, take_number() }
    end
  end
  return ask
end

local function read_replica(value)
  local used, ceiling, version, deadline, of, number =
    string.match(value, '^(-?%d+):(-?%d+):(%d+):(%d+):([^:]*):(%d+)$')
  return {
    used = tonumber(used), ceiling = tonumber(ceiling), version = tonumber(version),
    deadline = tonumber(deadline), process = of, number = tonumber(number),
  }
end

local function write_replica(key, replica, of)
  redis.call('HSET', key, 'r:' .. replica, table.concat({
    text(of.used), text(of.ceiling), text(of.version), text(of.deadline), of.process, text(of.number) }, ':'))
end

-- When a bucket has left its window.
local function end_of(ask, bucket) return (bucket + 1) * ask.width + ask.length end

-- A counter as it is: what others have used (budgets), what they hold, what was used bucket by bucket.
local function read_counter(ask)
  local state = { ask = ask, others = 0, held = 0, lost = 0, living = 1, sum = 0, buckets = {}, mine = nil, born = nil }
  local fields = redis.call('HGETALL', ask.key)
  state.is_new = #fields == 0
  local charged = 0
  for i = 1, #fields, 2 do
    local field, value = fields[i], fields[i + 1]
    local mark = string.sub(field, 1, 2)
    if field == 'r:' .. me then
      state.mine = read_replica(value)
    elseif mark == 'r:' then
      local other = read_replica(value)
      local open = math.max(0, other.ceiling - other.used)
      if ask.kind == 'b' then
        -- What a dead one held stays held until it comes back and says what it has used of it.
        state.others = state.others + other.used
        state.held = state.held + open
        if other.deadline >= now then state.living = state.living + 1 end
      elseif other.deadline >= now then
        state.held = state.held + open
        state.living = state.living + 1
      elseif ask.kind == 's' and now < other.deadline + ask.length + ask.width then
        -- It may come back and say what it has used, of what it held or regardless. After that it has left the window,
        -- whatever it was.
        state.held = state.held + open
        state.lost = state.lost + open
      else
        -- Dead: nobody knows how much of it was used. In a minute it does not matter any more.
        redis.call('HDEL', ask.key, field)
        if ask.kind == 'm' then charged = charged + open end
      end
    elseif mark == 'b:' then
      local of = tonumber(string.sub(field, 3))
      if end_of(ask, of) <= now then
        redis.call('HDEL', ask.key, field)
      else
        state.buckets[of] = tonumber(value)
        state.sum = state.sum + tonumber(value)
      end
    elseif field == 't:' .. me then
      state.told = true
    elseif field == 'born' then
      state.born = tonumber(value)
    elseif field == 'short' then
      state.short = tonumber(value)
    end
  end
  state.charged = charged
  return state
end

local function count(state, bucket, amount)
  local ask = state.ask
  if amount == 0 or end_of(ask, bucket) <= now then return end
  if bucket > ask.bucket then bucket = ask.bucket end
  redis.call('HINCRBY', ask.key, 'b:' .. text(bucket), text(amount))
  state.buckets[bucket] = (state.buckets[bucket] or 0) + amount
  state.sum = state.sum + amount
end

-- What there is room for, once everything is counted that the replica tells.
local function sum_up(state, mine)
  local ask = state.ask
  state.mine = mine or { used = ask.used, ceiling = 0, version = -1, number = 0 }
  state.mine.used = math.max(state.mine.used, ask.used)
  state.mine.number = math.max(state.mine.number, ask.number)
  state.most = ask.limit - state.sum - state.held + state.mine.used
  state.total = state.sum
end

-- Takes over what the replica tells.
local function report_minute(state)
  local ask, mine = state.ask, state.mine
  count(state, ask.bucket, state.charged)
  if mine and mine.process ~= process then
    -- A process that has ended: what it held may have been used.
    count(state, ask.bucket, math.max(0, mine.ceiling - mine.used))
    mine = nil
  end
  local used
  if mine then
    used = math.max(0, ask.used - mine.used)
  elseif state.told then
    used = math.max(0, ask.used - ask.acknowledged)
  else
    -- Of the last minute this counter has heard nothing from it: the server may have lost what it told.
    used = ask.recent
    redis.call('HSET', ask.key, 't:' .. me, '1')
  end
  count(state, ask.bucket, used)
  if ask.number > (mine and mine.number or 0) then
    for _, correction in ipairs(ask.corrections) do count(state, correction[1], correction[2]) end
  end
  sum_up(state, mine)
end

local function report_sliding(state)
  local ask, mine = state.ask, state.mine
  if state.is_new then
    -- What replicas have charged just before the server lost it is on its way to the ledger.
    if is_young() then state.verdict = 3 elseif not ask.ledger then state.verdict = 2 end
    if state.verdict then return end
    for _, known in ipairs(ask.ledger) do count(state, tonumber(known[1]) or ask.bucket, known[2]) end
  elseif mine and mine.process ~= process then
    -- A process that has ended: of what it held the ledger knows what was used since it told last.
    if not ask.ledger then
      state.verdict, state.since = 2, mine.deadline - life
      return
    end
    for _, known in ipairs(ask.ledger) do
      if known[1] == '' then count(state, ask.bucket, known[2]) end
    end
    mine = nil
  end
  count(state, ask.bucket, math.max(0, ask.used - (mine and mine.used or ask.acknowledged)))
  sum_up(state, mine)
end

local function report_budget(state)
  local ask, mine = state.ask, state.mine
  if state.is_new then
    if not ask.ledger then
      state.verdict = 2
      return
    end
    for _, known in ipairs(ask.ledger) do
      if known[1] == me then
        ask.used = math.max(ask.used, known[2])
      else
        write_replica(ask.key, known[1],
          { used = known[2], ceiling = known[2], version = 0, deadline = 0, process = '', number = 0 })
        state.others = state.others + known[2]
      end
    end
  end
  if mine and mine.process ~= process then
    -- A process that has ended has told everything by now: it was in its journal.
    mine = { used = mine.used, ceiling = 0, version = -1, number = 0 }
  end
  state.mine = mine or { used = 0, ceiling = 0, version = -1, number = 0 }
  state.mine.used = math.max(state.mine.used, ask.used)
  state.most = ask.limit - state.others - state.held
  state.total = state.others + state.mine.used
end

local function report_places(state)
  local mine = state.mine
  if mine and mine.process ~= process then mine = nil end
  state.mine = mine or { used = 0, ceiling = 0, version = -1, number = 0 }
  state.most = state.ask.limit - state.held
  state.total = 0
end

local REPORT = { m = report_minute, s = report_sliding, b = report_budget, p = report_places }

-- Seconds until what is needed fits into the window.
local function wait_for(state)
  local ask = state.ask
  if ask.width == 0 then return 0 end
  local lacking, gone = ask.need - state.most, 0
  -- What is only held may come back at once.
  if state.held - state.lost >= lacking then return 1 end
  local function seconds(bucket) return math.ceil((end_of(ask, bucket) - now) / 1000) end
  for bucket = math.floor((now - ask.length) / ask.width) - 1, ask.bucket do
    gone = gone + (state.buckets[bucket] or 0)
    if gone >= lacking then return seconds(bucket) end
  end
  return seconds(ask.bucket)
end

local function judge(state)
  local ask = state.ask
  if state.is_new and is_young() then
    state.born = now
    redis.call('HSET', ask.key, 'born', text(now))
  end
  state.settling = state.born and now < state.born + grace
  if ask.need <= ask.hold then
    state.verdict = 0
  elseif state.settling then
    state.verdict = 3
  elseif ask.need > state.most then
    state.verdict = 1
  else
    state.verdict = 0
  end
end

-- Sets the ceiling; nothing grows where one of the counters has no room.
local function grant(state, all)
  local ask, mine = state.ask, state.mine
  local ceiling = ask.hold
  -- Another exchange of the same process has been faster: what it was given stays.
  if mine.version >= 0 and mine.version ~= ask.version then ceiling = math.max(ceiling, mine.ceiling) end
  if ask.kind == 'b' then ceiling = math.max(ceiling, mine.used) end
  if state.verdict == 1 then
    state.short = now
    redis.call('HSET', ask.key, 'short', text(now))
  end
  local share = 1 / (4 * state.living)
  if state.short and now < state.short + SHORT then share = 0 end
  local function fair() return math.max(0, math.floor((state.most - ceiling) * share)) end
  state.fair = fair()
  if all and not state.settling then
    ceiling = math.max(ceiling, math.min(ask.asked, state.most))
    state.fair = fair()
    ceiling = math.max(ceiling, math.min(ask.want, ceiling + state.fair))
  end
  local version = math.max(mine.version, ask.version) + 1
  state.ceiling, state.version = ceiling, version
  -- Who ends is forgotten, but for what is under way and may yet be charged in a long window. Who only gives everything
  -- back is not: should this answer be lost, it tells the same again, and later it may use something regardless.
  local is_over = ask.want <= -ENDLESS or (ask.kind == 'p' and ask.want < ask.used)
  local may_charge = ask.kind == 'b' or (ask.kind == 's' and ceiling > mine.used)
  if is_over and not may_charge and ceiling <= ask.hold then
    redis.call('HDEL', ask.key, 'r:' .. me)
  else
    write_replica(ask.key, me, {
      used = mine.used, ceiling = ceiling, version = version, deadline = now + life, process = process, number = mine.number })
  end
  redis.call('PEXPIRE', ask.key, text(ask.lifetime))
end

-- Whether somebody who lives goes by the same name: not this process, nor the one before it.
local function is_taken(mine)
  return mine and mine.process ~= process and mine.process ~= previous and mine.process ~= '' and mine.deadline >= now
end

-- Who asks of nothing asks for the time: then the one key only says on which server of a cluster.
local asked = #ARGV > 5 and KEYS or {}
local states, all = {}, true
for i, key in ipairs(asked) do
  local state = read_counter(read_ask(key))
  if is_taken(state.mine) then
    state.verdict = 3
    state.is_void = true
  else
    REPORT[state.ask.kind](state)
    state.is_void = state.verdict ~= nil
  end
  if not state.verdict then judge(state) end
  if state.verdict ~= 0 then all = false end
  states[i] = state
end

local said = { text(now) }
for _, state in ipairs(states) do
  local ask = state.ask
  if state.is_void then
    for _, number in ipairs({ state.verdict, ask.hold, ask.version, 0, 0, 0, state.since or 0, ask.used }) do
      said[#said + 1] = text(number)
    end
  else
    grant(state, all)
    local held = state.held + math.max(0, state.ceiling - state.mine.used)
    local wait = state.verdict == 1 and wait_for(state) or 0
    for _, number in ipairs({ state.verdict, state.ceiling, state.version, state.total, held, state.fair, wait, state.mine.used }) do
      said[#said + 1] = text(number)
    end
  end
end
return said
