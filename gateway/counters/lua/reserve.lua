-- KEYS: the hold, its memory once settled, the holds by the time of their end, then the lines.
-- ARGV: hold id, least and most, now and end in us, memo, how long a line is kept and idle in ms,
-- then of each line its limit, its seed or '', its window's end in us or '', then of each hold that a line which begins
-- is to count too the line's number, the hold's id and what it holds.
-- A line: s spent, h held, n open holds, r the window's end, g who began it: one of the same name begun later differs.
local hold, settled, ends = KEYS[1], KEYS[2], KEYS[3]
local id, least, amount, now_us, ends_us, memo = ARGV[1], parse(ARGV[2]), parse(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]
local kept_ms, idle_ms = ARGV[7], ARGV[8]

if redis.call('EXISTS', hold, settled) > 0 then return 'taken' end

local lines, unseeded = {}, {}
for n = 1, #KEYS - 3 do
  local line = {
    key = KEYS[3 + n], limit = parse(ARGV[3 * n + 6]), seed = ARGV[3 * n + 7], resets_us = ARGV[3 * n + 8]
  }
  local found = redis.call('HMGET', line.key, 's', 'h', 'n', 'g')
  if not found[1] and line.seed == '' then unseeded[#unseeded + 1] = tostring(n - 1) end
  line.is_new = not found[1]
  line.spent, line.held = parse(found[1] or line.seed), parse(found[2] or '0')
  line.open, line.begun = tonumber(found[3] or '0'), found[4] or id
  lines[n] = line
end
if #unseeded > 0 then return 'unseeded ' .. table.concat(unseeded, ' ') end

-- Whatever the answer, the lines begin: with what others hold, or spent of it meanwhile.
local hold_prefix, settled_prefix = string.sub(hold, 1, -#id - 1), string.sub(settled, 1, -#id - 1)
for n = 9 + 3 * #lines, #ARGV, 3 do
  local line, other = lines[tonumber(ARGV[n]) + 1], ARGV[n + 1]
  local packed = line.is_new and redis.call('GET', hold_prefix .. other)
  if packed then
    local record = cmsgpack.unpack(packed)
    local at = #record + 1
    for m = 4, #record, 2 do
      if record[m] == line.key then at = m end
    end
    record[at], record[at + 1] = line.key, line.begun
    redis.call('SET', hold_prefix .. other, cmsgpack.pack(record))
    line.held, line.open = add(line.held, parse(record[1])), line.open + 1
  elseif line.is_new then
    local memory = redis.call('GET', settled_prefix .. other)
    line.spent = add(line.spent, parse(memory and string.match(memory, '^%d+') or ARGV[n + 2]))
  end
end

local refusing, room, new = {}, nil, {}
for n, line in ipairs(lines) do
  if line.is_new then new[#new + 1] = n - 1 end
end
local begun = #new > 0 and table.concat(new, ',') or '-'
for n, line in ipairs(lines) do
  local bound = add(line.spent, line.held)
  if less(line.limit, add(bound, least)) then
    refusing[#refusing + 1] = (n - 1) .. ' ' .. show(line.spent) .. ' ' .. show(line.held)
  else
    local left = subtract(line.limit, bound)
    if room == nil or less(left, room) then room = left end
  end
end

if #refusing > 0 then
  for _, line in ipairs(lines) do
    if line.is_new then
      redis.call(
        'HSET', line.key, 's', show(line.spent), 'h', show(line.held), 'n', string.format('%.0f', line.open),
        'r', line.resets_us, 'g', id
      )
    end
    if line.open == 0 then
      redis.call('HSET', line.key, 'r', line.resets_us)
      rest_line(line.key, line.resets_us, now_us, kept_ms, idle_ms)
    end
  end
  return 'refused ' .. begun .. ' ' .. table.concat(refusing, ' ')
end

if less(room, amount) then amount = room end
local record = {show(amount), memo, '0'}
for _, line in ipairs(lines) do
  redis.call(
    'HSET', line.key, 's', show(line.spent), 'h', show(add(line.held, amount)),
    'n', string.format('%.0f', line.open + 1), 'r', line.resets_us, 'g', line.begun
  )
  if line.open == 0 then redis.call('PERSIST', line.key) end
  record[#record + 1] = line.key
  record[#record + 1] = line.begun
end
redis.call('SET', hold, cmsgpack.pack(record))
redis.call('ZADD', ends, ends_us, id)
return 'held ' .. show(amount) .. ' ' .. show(subtract(room, amount)) .. ' ' .. begun
