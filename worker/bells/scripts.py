"""The queue's own scripts, each atomic, in Dramatiq's key layout; they run on Redis >= 6.2 and Valkey.

Every script may be repeated: what it did already it does not do again. Each says how many it won. A message is ready,
claimed or waiting, in one of these places at most; its bytes lie in the hash of that place.
"""

from hashlib import sha1


class Script:
    """A script and the name Redis knows it by."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()


# Redis's clock in ms: the clocks of workers and clients differ.
_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

# Rings one: out of the waiting ones if it is there, and on the list unless it is ready or claimed. Uses `ready`,
# `messages`, `waiting`, `waiting_messages`. What `fresh` holds in the end `push` puts on the list, in order.
_RING = """
local fresh = {}
local function ring(id, bytes)
    if redis.call('ZREM', waiting, id) == 1 then
        redis.call('HDEL', waiting_messages, id)
    end
    if redis.call('HSETNX', messages, id, bytes) == 1 then
        fresh[#fresh + 1] = id
    end
end
local function push()
    if #fresh > 0 then
        redis.call('RPUSH', ready, unpack(fresh))
    end
end
"""

# Lets one wait unless it is ready, claimed or waiting. Uses `messages`, `waiting`, `waiting_messages`, `now`.
_WAIT = """
local function wait(id, bytes, delay)
    if redis.call('HEXISTS', messages, id) == 1 or redis.call('ZSCORE', waiting, id) then
        return 0
    end
    redis.call('HSET', waiting_messages, id, bytes)
    redis.call('ZADD', waiting, now + delay, id)
    return 1
end
"""

# Adds messages that are new: KEYS list, hash, waiting, its hash; ARGV id, bytes, id, bytes, ... Returns how many.
RING = Script(
    """
local ready, messages, waiting, waiting_messages = unpack(KEYS)
"""
    + _RING
    + """
for i = 1, #ARGV, 2 do
    ring(ARGV[i], ARGV[i + 1])
end
push()
return #fresh
"""
)

# Adds messages that are new and differ in their ids alone: KEYS as of RING; ARGV the four parts of a message around the
# three places of its id, what follows an id in a name, and ids with blanks between. Where nothing waits and none is
# there, as nearly always, all are one command. Returns how many were new.
PEAL = Script(
    """
local ready, messages, waiting, waiting_messages = unpack(KEYS)
local first, second, third, fourth, generation = unpack(ARGV, 1, 5)
"""
    + _RING
    + """
local names, pairs_ = {}, {}
for id in string.gmatch(ARGV[6], '%d+') do
    local name = id .. generation
    names[#names + 1] = name
    pairs_[#pairs_ + 1] = name
    pairs_[#pairs_ + 1] = first .. id .. second .. id .. third .. id .. fourth
end
local is_new = redis.call('EXISTS', waiting) == 0
if is_new then
    for _, bytes in ipairs(redis.call('HMGET', messages, unpack(names))) do
        is_new = is_new and not bytes
    end
end
if is_new then
    redis.call('HSET', messages, unpack(pairs_))
    redis.call('RPUSH', ready, unpack(names))
    return #names
end
for i = 1, #pairs_, 2 do
    ring(pairs_[i], pairs_[i + 1])
end
push()
return #fresh
"""
)

# Ends a settled batch of one worker and queue: KEYS its claims, hash, list, waiting, its hash, dead, their hash;
# ARGV how many are acknowledged, dead and retried, then: id ... | id ... | old id, new id, bytes, delay in ms ... | and
# as many as follow to ring: id, bytes ... Nothing is added before all is released, so that a repeated batch is nothing.
# One the worker no longer claims is left to its holder; but its retry is committed, and so added unless it is there.
# Returns how many were acknowledged, buried, retried and rung (a retry without delay is rung).
SETTLE = Script(
    """
local claims, messages, ready, waiting, waiting_messages, dead, dead_messages = unpack(KEYS)
"""
    + _NOW
    + _RING
    + _WAIT
    + """
local at = 4
local function take(count)
    local taken = {}
    for i = 1, count do
        taken[i] = ARGV[at + i - 1]
    end
    at = at + count
    return taken
end

local function held(ids)
    local mine = {}
    if #ids > 0 then
        for i, flag in ipairs(redis.call('SMISMEMBER', claims, unpack(ids))) do
            if flag == 1 then
                mine[#mine + 1] = ids[i]
            end
        end
    end
    return mine
end

local function release(ids)
    if #ids == 0 then
        return 0
    end
    redis.call('SREM', claims, unpack(ids))
    return redis.call('HDEL', messages, unpack(ids))
end

local acknowledged = release(held(take(tonumber(ARGV[1]))))

local ended = held(take(tonumber(ARGV[2])))
local buried = 0
if #ended > 0 then
    for i, bytes in ipairs(redis.call('HMGET', messages, unpack(ended))) do
        if bytes then
            redis.call('ZADD', dead, now, ended[i])
            redis.call('HSET', dead_messages, ended[i], bytes)
            buried = buried + 1
        end
    end
    release(ended)
end

local old, new = {}, {}
for i = 1, tonumber(ARGV[3]) do
    new[i] = take(4)
    old[i] = new[i][1]
end
release(held(old))
local retried = 0
for _, one in ipairs(new) do
    local delay = tonumber(one[4])
    if delay > 0 then
        retried = retried + wait(one[2], one[3], delay)
    else
        ring(one[2], one[3])
    end
end

for i = at, #ARGV, 2 do
    ring(ARGV[i], ARGV[i + 1])
end
push()
return {acknowledged, buried, retried, #fresh}
"""
)

# Lets messages wait that are nowhere: KEYS hash, waiting, its hash; ARGV id, bytes, delay in ms, ... Returns how many.
WAIT = Script(
    """
local messages, waiting, waiting_messages = unpack(KEYS)
"""
    + _NOW
    + _WAIT
    + """
local added = 0
for i = 1, #ARGV, 3 do
    added = added + wait(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]))
end
return added
"""
)

# Makes ready what is due, the queues in the order given: KEYS waiting, its hash, list, hash of each queue; ARGV how
# many at most. One without bytes is forgotten, one that is ready or claimed too waits no longer.
# Returns how many, and the ms until the next is due, or -1.
PROMOTE = Script(
    _NOW
    + """
local left, promoted, next_due = tonumber(ARGV[1]), 0, -1
for k = 1, #KEYS, 4 do
    local waiting, waiting_messages, ready, messages = KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[k + 3]
    local ids = {}
    if left > 0 then
        ids = redis.call('ZRANGEBYSCORE', waiting, '-inf', now, 'LIMIT', 0, left)
    end
    if #ids > 0 then
        local fresh = {}
        for i, bytes in ipairs(redis.call('HMGET', waiting_messages, unpack(ids))) do
            if bytes and redis.call('HSETNX', messages, ids[i], bytes) == 1 then
                fresh[#fresh + 1] = ids[i]
            end
        end
        redis.call('ZREM', waiting, unpack(ids))
        redis.call('HDEL', waiting_messages, unpack(ids))
        if #fresh > 0 then
            redis.call('RPUSH', ready, unpack(fresh))
        end
        left, promoted = left - #ids, promoted + #fresh
    end
    local first = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
    if first[2] then
        local due = math.max(0, tonumber(first[2]) - now)
        if next_due < 0 or due < next_due then
            next_due = due
        end
    end
end
return {promoted, next_due}
"""
)

# Takes over what a stock client delayed: KEYS delayed, its hash, hash, waiting, its hash, dead, their hash, their
# errors; ARGV how many can be read, then id, bytes, due in ms ... and of the rest id, error as JSON ... ; an id without
# bytes is forgotten. Who takes it from the list has won: a stock worker may be at it too.
# Returns how many left the list.
DRAIN = Script(
    """
local delayed, delayed_messages, messages, waiting, waiting_messages, dead, dead_messages, errors = unpack(KEYS)
"""
    + _NOW
    + _WAIT
    + """
local function take(id)
    if redis.call('LREM', delayed, 1, id) == 0 then
        return nil
    end
    local bytes = redis.call('HGET', delayed_messages, id)
    redis.call('HDEL', delayed_messages, id)
    return bytes
end

local drained, at = 0, 2
for _ = 1, tonumber(ARGV[1]) do
    local bytes = take(ARGV[at])
    if bytes ~= nil then
        drained = drained + 1
    end
    if bytes then
        wait(ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]) - now)
    end
    at = at + 3
end
for i = at, #ARGV, 2 do
    local bytes = take(ARGV[i])
    if bytes ~= nil then
        drained = drained + 1
    end
    if bytes then
        redis.call('ZADD', dead, now, ARGV[i])
        redis.call('HSET', dead_messages, ARGV[i], bytes)
        redis.call('HSET', errors, ARGV[i], '{"error":' .. ARGV[i + 1] .. ',"at":' .. now .. '}')
    end
end
return drained
"""
)

# Gives back what a dead worker claimed, some at a time, oldest first: KEYS its claims, list, hash; ARGV how many at
# most. Returns how many it took from the claims, and how many of them came back: one without bytes is forgotten.
GIVE_BACK = Script(
    """
local ids = redis.call('SPOP', KEYS[1], ARGV[1])
local back = {}
for _, id in ipairs(ids) do
    if redis.call('HEXISTS', KEYS[3], id) == 1 then
        back[#back + 1] = id
    end
end
if #back > 0 then
    -- Each goes before the one pushed before it. A longer id is a later one.
    table.sort(back, function(a, b)
        if #a == #b then
            return a > b
        end
        return #a > #b
    end)
    redis.call('LPUSH', KEYS[2], unpack(back))
end
return {#ids, #back}
"""
)

# Moves a message that nobody can run to the dead letters: KEYS claims of who buries it, list, hash, dead, their hash,
# their errors; ARGV id, error as JSON. One that waits, or that another worker claims, is left. Returns 1 if it won.
BURY = Script(
    _NOW
    + """
local claims, ready, messages, dead, dead_messages, errors = unpack(KEYS)
local id = ARGV[1]
if redis.call('SREM', claims, id) == 0 and redis.call('LREM', ready, 1, id) == 0 then
    return 0
end
local bytes = redis.call('HGET', messages, id)
if not bytes then
    return 0
end
redis.call('HDEL', messages, id)
redis.call('ZADD', dead, now, id)
redis.call('HSET', dead_messages, id, bytes)
redis.call('HSET', errors, id, '{"error":' .. ARGV[2] .. ',"at":' .. now .. '}')
return 1
"""
)

# Forgets dead letters older than so many ms: KEYS dead, their hash, their errors; ARGV ms, how many at most.
PURGE = Script(
    _NOW
    + """
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[1]), 'LIMIT', 0, ARGV[2])
if #ids > 0 then
    redis.call('ZREM', KEYS[1], unpack(ids))
    redis.call('HDEL', KEYS[2], unpack(ids))
    redis.call('HDEL', KEYS[3], unpack(ids))
end
return #ids
"""
)

# Notes that workers live: KEYS heartbeats; ARGV workers.
BEAT = Script(
    _NOW
    + """
for _, worker in ipairs(ARGV) do
    redis.call('ZADD', KEYS[1], now, worker)
end
return #ARGV
"""
)

# Puts back on the list what is in the hash and nowhere else: KEYS list, hash, and the claims of everybody who may hold
# one; ARGV ids. Looks again, because a message moves while it is looked for. Returns how many.
RESTORE = Script(
    """
local restored = 0
for _, id in ipairs(ARGV) do
    local lost = redis.call('HEXISTS', KEYS[2], id) == 1 and not redis.call('LPOS', KEYS[1], id)
    for k = 3, #KEYS do
        lost = lost and redis.call('SISMEMBER', KEYS[k], id) == 0
    end
    if lost then
        redis.call('RPUSH', KEYS[1], id)
        restored = restored + 1
    end
end
return restored
"""
)

# Forgets claims of messages whose bytes are gone: KEYS claims, hash; ARGV ids. Returns how many.
DISCLAIM = Script(
    """
local gone = 0
for _, id in ipairs(ARGV) do
    if redis.call('HEXISTS', KEYS[2], id) == 0 then
        gone = gone + redis.call('SREM', KEYS[1], id)
    end
end
return gone
"""
)
