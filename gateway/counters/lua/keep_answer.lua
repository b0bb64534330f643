-- Keep an answer, within a number of bytes for all. KEYS: the answer, the order in which they end, the sum of bytes.
-- ARGV: its bytes, which begin with 20 digits that say when it was asked for, its life in ms, the most bytes. Answers
-- whether it was kept, which it is not in place of a newer one. What is no such thing as belongs under a name is
-- removed; the order and the sum begin anew then, and what was in them ends by itself.
local overhead, digits = 256, 20
local function has_type(key, wanted)
  local found = redis.call('TYPE', key).ok
  return found == wanted or found == 'none'
end
if not has_type(KEYS[1], 'string') then redis.call('UNLINK', KEYS[1]) end
local is_counted = has_type(KEYS[3], 'string') and string.match(redis.call('GET', KEYS[3]) or '0', '^%d+$')
if not (has_type(KEYS[2], 'zset') and is_counted and #is_counted < 16) then redis.call('UNLINK', KEYS[2], KEYS[3]) end
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local size, most = #ARGV[1] + overhead, tonumber(ARGV[3])
if size > most then return 0 end
local before = redis.call('STRLEN', KEYS[1])
local time = tonumber(redis.call('GETRANGE', KEYS[1], 0, digits - 1))
if time and time > tonumber(string.sub(ARGV[1], 1, digits)) then return 0 end
if before > 0 and redis.call('ZREM', KEYS[2], KEYS[1] .. ' ' .. before + overhead) == 1 then
  redis.call('DECRBY', KEYS[3], before + overhead)
end
local sum = tonumber(redis.call('GET', KEYS[3]) or '0')
for _ = 1, 128 do
  local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
  if not first[1] then
    redis.call('SET', KEYS[3], 0)
    sum = 0
    break
  end
  local has_ended = tonumber(first[2]) <= now_ms
  if not has_ended and sum + size <= most then break end
  local name, bytes = string.match(first[1], '^(.*) (%d+)$')
  if not name or #bytes > 15 then name, bytes = KEYS[1], 0 end
  redis.call('ZREM', KEYS[2], first[1])
  -- One that has ended went by itself, and may stand there anew.
  if not has_ended then redis.call('UNLINK', name) end
  sum = redis.call('DECRBY', KEYS[3], bytes)
end
if sum + size > most then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if redis.call('ZADD', KEYS[2], now_ms + ARGV[2], KEYS[1] .. ' ' .. size) == 1 then
  redis.call('INCRBY', KEYS[3], size)
end
return 1
