-- KEYS: counters. ARGV, of each: amount, limit, life in ms. Answers what each had before.
local before, refused = {}, false
for n, key in ipairs(KEYS) do
  local amount, limit, life_ms = tonumber(ARGV[3 * n - 2]), tonumber(ARGV[3 * n - 1]), ARGV[3 * n]
  local after = redis.call('INCRBY', key, ARGV[3 * n - 2])
  if after == amount then redis.call('PEXPIRE', key, life_ms) end
  if after > limit then refused = true end
  before[n] = string.format('%.0f', after - amount)
end
if refused then
  for n, key in ipairs(KEYS) do redis.call('DECRBY', key, ARGV[3 * n - 2]) end
end
return table.concat(before, ' ')
