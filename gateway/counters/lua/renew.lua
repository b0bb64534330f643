-- KEYS: the hold, the holds by the time of their end. ARGV: hold id, end in us, then a new memo if there is one.
local packed = redis.call('GET', KEYS[1])
if not packed then return '0' end
local record = cmsgpack.unpack(packed)
if record[3] ~= '0' then return '0' end
redis.call('ZADD', KEYS[2], 'GT', ARGV[2], ARGV[1])
if ARGV[3] then
  record[2] = ARGV[3]
  redis.call('SET', KEYS[1], cmsgpack.pack(record))
end
return '1'
