-- KEYS: the holds by the time of their end. ARGV: what a hold's key begins with, what a memo begins with, the claim's
-- end in us, and where to look on. Answers where to look on, '0' at the end, then of each hold that nobody has claimed
-- its id, end, amount, memo, and the keys of its lines.
local ends, prefix, begins, claimed_us = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local found = redis.call('ZSCAN', ends, ARGV[4], 'COUNT', 200)
local answer = {found[1]}
for n = 1, #found[2], 2 do
  local id = found[2][n]
  local packed = redis.call('GET', prefix .. id)
  if packed then
    local record = cmsgpack.unpack(packed)
    if record[3] == '0' and string.sub(record[2], 1, #begins) == begins then
      local row = {id, found[2][n + 1], record[1], record[2]}
      for m = 4, #record, 2 do row[#row + 1] = record[m] end
      answer[#answer + 1] = row
      record[3] = '1'
      redis.call('SET', prefix .. id, cmsgpack.pack(record))
      redis.call('ZADD', ends, claimed_us, id)
    end
  end
end
return answer
