-- KEYS: the board. ARGV: most names kept, life of the board in ms, number of opened, of each its name and rest in ms; then
-- the names of the closed. Answers of all that are open: name, rest in ms.
local most, life_ms, opened = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
for n = 3 + 2 * opened + 1, #ARGV do redis.call('HDEL', KEYS[1], ARGV[n]) end
for n = 1, opened do
  local name, until_ms = ARGV[2 + 2 * n], now_ms + tonumber(ARGV[3 + 2 * n])
  local known = redis.call('HGET', KEYS[1], name)
  if known and tonumber(known) >= until_ms then until_ms = nil end
  if until_ms and (known or redis.call('HLEN', KEYS[1]) < most) then
    redis.call('HSET', KEYS[1], name, string.format('%.0f', until_ms))
  end
end
if opened > 0 then redis.call('PEXPIRE', KEYS[1], life_ms) end
local answer, all = {}, redis.call('HGETALL', KEYS[1])
for n = 1, #all, 2 do
  local rest_ms = tonumber(all[n + 1]) - now_ms
  if rest_ms > 0 then
    answer[#answer + 1] = all[n]
    answer[#answer + 1] = string.format('%.0f', rest_ms)
  else
    redis.call('HDEL', KEYS[1], all[n])
  end
end
return answer
