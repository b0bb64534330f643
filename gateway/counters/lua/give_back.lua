-- KEYS: counters. ARGV: the amount of each.
for n, key in ipairs(KEYS) do
  local used = tonumber(redis.call('GET', key) or '0')
  local amount = math.min(used, tonumber(ARGV[n]))
  if amount > 0 then redis.call('DECRBY', key, string.format('%.0f', amount)) end
end
return ''
