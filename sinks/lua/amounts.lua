-- Exact amounts and their decimal texts. This file precedes the script that uses it.
--
-- A Lua number is a double, exact up to 2^53, and sums exceed that. So an amount is a pair of
-- numbers, whole units and millionths, that are added separately. Both are integers; `normalize`
-- carries the millionths over, so that 0 <= millionths < 1000000, before they could become inexact.

local MICRO = 1000000
local PLAIN = 1e15 -- an integer below this is exact as a double and in 15 decimal digits
local floor, format, match, sub = math.floor, string.format, string.match, string.sub

local function normalize(whole, micro)
  local carry = floor(micro / MICRO)
  return whole + carry, micro - carry * MICRO
end

-- The amount of an integer in millionths: a number, or a text where a double would not be exact. It
-- is not normalized: the millionths are below PLAIN, so a few amounts can be added first.
local function parse_amount(count)
  if type(count) == 'number' then
    return 0, count
  elseif #count <= 15 then
    return 0, count + 0
  end
  local sign, digits = match(count, '^(%-?)(%d+)$')
  local whole, micro = sub(digits, 1, -7) + 0, sub(digits, -6) + 0
  if sign == '-' then
    return -whole, -micro
  end
  return whole, micro
end

-- A normalized amount as exact decimal text in units, without trailing zeros.
local function format_units(whole, micro)
  local all = whole * MICRO + micro
  local size = all < 0 and -all or all
  if size < PLAIN and size >= 100 then -- %g would write a smaller number in scientific notation
    return format('%.15g', all / MICRO)
  end
  local sign = ''
  if whole < 0 then
    sign = '-'
    whole = micro > 0 and -whole - 1 or -whole
    micro = micro > 0 and MICRO - micro or 0
  end
  local text = format('%s%d', sign, whole)
  if micro > 0 then
    text = text .. '.' .. string.gsub(format('%06d', micro), '0+$', '')
  end
  return text
end

-- Whether a double is the nearest one to a decimal number of 15 digits. Few means are, and this
-- test is cheaper than to write 15 digits and parse them: such a double is nearest to n / 10^k, and
-- the multiplication finds n, as the errors of both steps together are less than a half.
local function has_15_digits(value)
  local size = value < 0 and -value or value
  local places = 14 - floor(math.log10(size))
  if places < 0 or places > 21 then -- 10^places would not be exact
    return tonumber(format('%.15g', value)) == value
  end
  local scale = 10 ^ places
  if size * scale < 1e14 then -- the logarithm was rounded up
    scale = scale * 10
  end
  return floor(value * scale + 0.5) / scale == value
end

-- The shortest decimal text, of 15 or 17 digits, that parses to the same double as the mean.
local function format_mean(whole, micro, count)
  local value = count > 0 and (whole * MICRO + micro) / (count * MICRO) or 0
  if value == 0 then
    return '0'
  end
  return format(has_15_digits(value) and '%.15g' or '%.17g', value)
end

-- The earlier of two ISO 8601 times in UTC; either may be missing (false). A time has milliseconds
-- only where they are not 0, so the Z is removed before the texts are compared.
local function earlier(one, other)
  if not one or not other or one == other then
    return one or other
  end
  return sub(one, 1, -2) < sub(other, 1, -2) and one or other
end

-- The later of the two.
local function later(one, other)
  if not one or not other or one == other then
    return one or other
  end
  return sub(one, 1, -2) < sub(other, 1, -2) and other or one
end
