-- KEYS: the answer. Answers its bytes, nothing where there are none, or where something else lies there.
local found = redis.pcall('GET', KEYS[1])
return type(found) == 'string' and found
