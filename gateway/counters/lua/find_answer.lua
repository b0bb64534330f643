-- KEYS: the answer. Answers its bytes, nothing where there are none.
return redis.call('GET', KEYS[1])
