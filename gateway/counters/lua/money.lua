-- Whole amounts of 0 to 9e24, sums included, kept as decimal text: a number of Lua is a double, exact only to 2^53 (9e15).
-- Here each is a pair: the billions, and the rest below a billion.
local BILLION = 1000000000

local function parse(text)
  local cut = #text - 9
  if cut <= 0 then return {0, tonumber(text)} end
  return {tonumber(string.sub(text, 1, cut)), tonumber(string.sub(text, cut + 1))}
end

local function show(a)
  if a[1] == 0 then return string.format('%.0f', a[2]) end
  return string.format('%.0f%09.0f', a[1], a[2])
end

local function add(a, b)
  local rest = a[2] + b[2]
  if rest >= BILLION then return {a[1] + b[1] + 1, rest - BILLION} end
  return {a[1] + b[1], rest}
end

-- Only where b <= a.
local function subtract(a, b)
  local rest = a[2] - b[2]
  if rest < 0 then return {a[1] - b[1] - 1, rest + BILLION} end
  return {a[1] - b[1], rest}
end

local function less(a, b)
  return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2])
end

-- A line without open holds lives until its window has been over for a while, or until it was not used for long.
local function rest_line(key, resets_us, now_us, kept_ms, idle_ms)
  local ttl_ms = tonumber(idle_ms)
  if resets_us ~= '' then
    local left_ms = math.floor((tonumber(resets_us) - tonumber(now_us)) / 1000)
    ttl_ms = math.max(0, math.min(ttl_ms - tonumber(kept_ms), left_ms)) + tonumber(kept_ms)
  end
  redis.call('PEXPIRE', key, string.format('%.0f', ttl_ms))
end
