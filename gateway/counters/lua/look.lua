-- KEYS: lines. Answers what each has spent and held, or '-'.
local answer = {}
for n, key in ipairs(KEYS) do
  local line = redis.call('HMGET', key, 's', 'h')
  answer[n] = line[1] and line[1] .. ' ' .. line[2] or '- -'
end
return table.concat(answer, ' ')
