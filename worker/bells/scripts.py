"""The queue's own scripts, each atomic, in Dramatiq's key layout; they run on Redis >= 6.2 and Valkey."""

# Adds messages that are new: KEYS list, hash; ARGV id, bytes, id, bytes, ... Returns how many were added.
RING = """
local added = 0
for i = 1, #ARGV, 2 do
    if redis.call('HSETNX', KEYS[2], ARGV[i], ARGV[i + 1]) == 1 then
        redis.call('RPUSH', KEYS[1], ARGV[i])
        added = added + 1
    end
end
return added
"""

# Forgets messages a worker has claimed: KEYS its claims, hash; ARGV ids. One it no longer claims is left to its holder.
ACKNOWLEDGE = """
local gone = 0
for i = 1, #ARGV do
    if redis.call('SREM', KEYS[1], ARGV[i]) == 1 then
        gone = gone + redis.call('HDEL', KEYS[2], ARGV[i])
    end
end
return gone
"""

# Gives back what a dead worker claimed: KEYS its claims, list, hash. Returns how many were given back.
GIVE_BACK = """
local ids = redis.call('SMEMBERS', KEYS[1])
local back = 0
for _, id in ipairs(ids) do
    if redis.call('HEXISTS', KEYS[3], id) == 1 then
        redis.call('LPUSH', KEYS[2], id)
        back = back + 1
    end
end
redis.call('DEL', KEYS[1])
return back
"""
