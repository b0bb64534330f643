-- KEYS: the holds by the time of their end. ARGV: what a hold's key begins with, now and the claim's end in us, how
-- many. Answers of each its id, end, amount, memo, and the keys of its lines.
local ends, prefix, now_us, claimed_us = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local answer = {}
local expired = redis.call('ZRANGE', ends, '-inf', now_us, 'BYSCORE', 'LIMIT', 0, ARGV[4], 'WITHSCORES')
for n = 1, #expired, 2 do
  local id = expired[n]
  local packed = redis.call('GET', prefix .. id)
  if packed then
    local record = cmsgpack.unpack(packed)
    local row = {id, expired[n + 1], record[1], record[2]}
    for m = 4, #record, 2 do row[#row + 1] = record[m] end
    answer[#answer + 1] = row
    record[3] = '1'
    redis.call('SET', prefix .. id, cmsgpack.pack(record))
    redis.call('ZADD', ends, claimed_us, id)
  else
    redis.call('ZREM', ends, id)
  end
end
return answer
