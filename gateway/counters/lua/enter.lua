-- KEYS: slots, each a set of leases by the time of their end. ARGV: lease, now and end in us, life in ms, limits.
-- Answers of each slot how many others were inside, and whether the lease was.
local lease, now_us, ends_us, life_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local answer, refused = {}, false
for n, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now_us)
  local inside = redis.call('ZSCORE', key, lease) and 1 or 0
  local others = redis.call('ZCARD', key) - inside
  if inside == 0 and others >= tonumber(ARGV[4 + n]) then refused = true end
  answer[2 * n - 1], answer[2 * n] = string.format('%.0f', others), inside
end
if not refused then
  for _, key in ipairs(KEYS) do
    redis.call('ZADD', key, 'GT', ends_us, lease)
    if redis.call('PTTL', key) < life_ms then redis.call('PEXPIRE', key, ARGV[4]) end
  end
end
return table.concat(answer, ' ')
