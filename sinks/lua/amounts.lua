-- Exact amounts and their texts. This goes before the script that uses it.
--
-- A Lua number is a double, exact up to 2^53, and sums go beyond. So an amount is two numbers, whole
-- units and millionths, that are added apart. Both are whole numbers; `carried` brings them into the
-- one form in which 0 <= millionths < 1000000, before millionths that no longer fit could be rounded.

local MICRO = 1000000
local PLAIN = 1e15 -- below this a count of millionths is exact, and has 15 digits, which a double keeps
local floor, format, match, sub = math.floor, string.format, string.match, string.sub

local function carried(whole, micro)
  local carry = floor(micro / MICRO)
  return whole + carry, micro - carry * MICRO
end

-- The amount of a count of millionths, a number or, where that would not be exact, a text. Not
-- carried: the millionths are below PLAIN, so that some may be added before they are.
local function amount(count)
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

-- Units as decimal text, exact, without trailing zeros; the amount is carried.
local function units(whole, micro)
  local all = whole * MICRO + micro
  local size = all < 0 and -all or all
  if size < PLAIN and size >= 100 then -- %g would write less as a power of ten
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

-- Whether a double is the one next to some decimal number of 15 digits. Few means are, and to ask
-- the number is cheaper than to write 15 digits and read them back: it would be next to n / 10^k, and
-- multiplying finds n, as both steps are off by less than a half together.
local function has_15_digits(value)
  local size = value < 0 and -value or value
  local places = 14 - floor(math.log10(size))
  if places < 0 or places > 21 then -- 10^k would not be exact
    return tonumber(format('%.15g', value)) == value
  end
  local scale = 10 ^ places
  if size * scale < 1e14 then -- the logarithm was rounded up
    scale = scale * 10
  end
  return floor(value * scale + 0.5) / scale == value
end

-- The shortest text of a mean that reads back as the same double: 15 digits, or 17.
local function mean(whole, micro, count)
  local value = count > 0 and (whole * MICRO + micro) / (count * MICRO) or 0
  if value == 0 then
    return '0'
  end
  return format(has_15_digits(value) and '%.15g' or '%.17g', value)
end

-- The earlier of two ISO 8601 times in UTC, of which one may be missing. Milliseconds are shown only
-- where there are any, so the Z goes before texts are compared.
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
