-- KEYS: the hold, its memory once settled, the holds by the time of their end.
-- ARGV: hold id, amount, now in us, how long it is remembered in ms or '0', a line kept and idle in ms.
local hold, settled, ends = KEYS[1], KEYS[2], KEYS[3]
local id, amount, now_us, remembered_ms, kept_ms, idle_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local packed = redis.call('GET', hold)
if not packed then
  local memory = redis.call('GET', settled)
  return memory and 'repeated ' .. memory or 'unknown'
end

local record = cmsgpack.unpack(packed)
local held = parse(record[1])
local answer = {'settled', amount, record[1]}
for n = 4, #record, 2 do
  local key = record[n]
  local line = redis.call('HMGET', key, 's', 'h', 'n', 'r', 'g')
  if line[5] ~= record[n + 1] then
    -- The counter was lost, or was begun anew since: this hold is no part of it.
    answer[#answer + 1] = '-'
  else
    local spent, open = show(add(parse(line[1]), parse(amount))), tonumber(line[3]) - 1
    redis.call('HSET', key, 's', spent, 'h', show(subtract(parse(line[2]), held)), 'n', string.format('%.0f', open))
    if open == 0 then rest_line(key, line[4], now_us, kept_ms, idle_ms) end
    answer[#answer + 1] = spent
  end
end
redis.call('DEL', hold)
redis.call('ZREM', ends, id)
if remembered_ms ~= '0' then redis.call('SET', settled, amount .. ' ' .. record[1], 'PX', remembered_ms) end
return table.concat(answer, ' ')
