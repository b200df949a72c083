#!lua name=bank

-- One withdrawal; the same request again gets the same answer. -1: refused.
redis.register_function('withdraw', function(keys, args)
  local before = redis.call('GET', keys[2])
  if before then return tonumber(before) end
  local balance = redis.call('DECRBY', keys[1], args[1])
  if balance < 0 then
    redis.call('INCRBY', keys[1], args[1])
    balance = -1
  end
  redis.call('SET', keys[2], balance)
  return balance
end)

-- Many at once: accounts as 32-bit numbers in one string; outcomes as 64-bit numbers in another.
-- Two calls of Redis for so many of them, which is faster than one or two for each.
local TOGETHER = 3000

redis.register_function('withdraw_each', function(keys, args)
  local before = redis.call('GET', keys[1])
  if before then return before end
  local amount, packed = tonumber(args[1]), args[2]
  local count, known, order, outcomes = #packed / 4, {}, {}, {}
  local accounts = {}
  for number = 1, count do
    local account = struct.unpack('<i4', packed, number * 4 - 3)
    accounts[number] = account
    if known[account] == nil then
      known[account] = false
      order[#order + 1] = account
    end
  end
  for start = 1, #order, TOGETHER do
    local names = {}
    for place = start, math.min(start + TOGETHER - 1, #order) do names[#names + 1] = 'a:' .. order[place] end
    local found = redis.call('MGET', unpack(names))
    for place, balance in ipairs(found) do known[order[start + place - 1]] = tonumber(balance) end
  end
  for number = 1, count do
    local account = accounts[number]
    local balance = known[account] - amount
    if balance < 0 then balance = -1 else known[account] = balance end
    outcomes[number] = struct.pack('<i8', balance)
  end
  for start = 1, #order, TOGETHER do
    local pairs_of = {}
    for place = start, math.min(start + TOGETHER - 1, #order) do
      pairs_of[#pairs_of + 1] = 'a:' .. order[place]
      pairs_of[#pairs_of + 1] = string.format('%.0f', known[order[place]])
    end
    redis.call('MSET', unpack(pairs_of))
  end
  local answer = table.concat(outcomes)
  redis.call('SET', keys[1], answer)
  return answer
end)

-- The same, one after the other, as a person would write it first.
redis.register_function('withdraw_in_a_loop', function(keys, args)
  local before = redis.call('GET', keys[1])
  if before then return before end
  local outcomes, packed = {}, args[2]
  for number = 1, #packed / 4 do
    local name = 'a:' .. struct.unpack('<i4', packed, number * 4 - 3)
    local balance = redis.call('DECRBY', name, args[1])
    if balance < 0 then
      redis.call('INCRBY', name, args[1])
      balance = -1
    end
    outcomes[number] = struct.pack('<i8', balance)
  end
  local answer = table.concat(outcomes)
  redis.call('SET', keys[1], answer)
  return answer
end)
