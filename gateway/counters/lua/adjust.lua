-- KEYS: a line. ARGV: the amount, '1' where it is taken off, what must be spent before or ''. Answers '1' if it was done.
local spent = redis.call('HGET', KEYS[1], 's')
if not spent or (ARGV[3] ~= '' and spent ~= ARGV[3]) then return '0' end
local a, b = parse(spent), parse(ARGV[1])
local after
if ARGV[2] == '' then
  after = add(a, b)
elseif less(a, b) then
  after = {0, 0}
else
  after = subtract(a, b)
end
redis.call('HSET', KEYS[1], 's', show(after))
return '1'
