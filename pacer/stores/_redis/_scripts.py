"""What the server does by itself, each in one step: Lua scripts.

Numbers reach a script as text and leave it as text, so that none loses digits on the way. A script touches the keys
that it is given and no others. Redis does not take back what a script has written before it failed: whatever can be
refused is looked at before the first write, and the server looks at its memory and its disk there too.
"""

from __future__ import annotations

import hashlib
from typing import Final

import attrs

from pacer.stores._redis._keys import NAMES

_KEYS: Final = (
    f"local USUAL = {len(NAMES)}\nlocal "
    + ", ".join(NAMES)
    + " = "
    + ", ".join(f"KEYS[{number + 1}]" for number in range(len(NAMES)))
)

_COMMON: Final = """
-- Lua cannot hand over any number of arguments at once.
local function values(key, fields)
    local found = {}
    for first = 1, #fields, 1000 do
        local part = redis.call('HMGET', key, unpack(fields, first, math.min(first + 999, #fields)))
        for i = 1, #part do found[#found + 1] = part[i] end
    end
    return found
end

-- Whoever waits for the lock is woken, one at a time, those who came first before the others.
local function unlock(token)
    if redis.call('GET', lock) == token then
        redis.call('DEL', lock)
        if redis.call('EXISTS', baton) == 0 then
            redis.call('RPUSH', baton, '')
            redis.call('PEXPIRE', baton, 1000)
        end
    end
end

local function number(member)
    return tonumber(string.sub(member, 1, 12), 16)
end

-- How many members of a sorted set stand before one with this score and this number, be it in the set or not.
local function before(key, score, member)
    local low = redis.call('ZCOUNT', key, '-inf', '(' .. score)
    local high = redis.call('ZCOUNT', key, '-inf', score)
    while low < high do
        local middle = math.floor((low + high) / 2)
        if number(redis.call('ZRANGE', key, middle, middle)[1]) < number(member) then
            low = middle + 1
        else
            high = middle
        end
    end
    return low
end

-- The sets of ended jobs: 0 for those that have succeeded, and then the keys behind the usual ones.
local function shelf(place)
    return place == 0 and ended or KEYS[USUAL + place]
end

local function reversed(list)
    local found = {}
    for i = #list, 1, -1 do found[#found + 1] = list[i] end
    return found
end
"""


@attrs.frozen(eq=False)
class Script:
    """A script and the name under which a server knows it once it has seen it."""

    body: str
    text: str = attrs.field(init=False)
    sha: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        text = f"{_KEYS}\n{_COMMON}\n{self.body}"
        object.__setattr__(self, "text", text)
        # It is the name that Redis gives it, and protects nothing.
        object.__setattr__(self, "sha", hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


# Returns of each key what it is, and the version of the layout if there is one.
LOOK: Final = Script("""
local types = {}
for i = 1, #KEYS do types[i] = redis.call('TYPE', KEYS[i]).ok end
return {types, types[1] == 'hash' and redis.call('HGET', head, 'layout')}
""")

# Arguments: version of the layout, version, stamp, state, parts. Returns the layout that is there.
CREATE: Final = Script("""
local found = redis.call('HGET', head, 'layout')
if found then return found end
redis.call('HSET', head, 'layout', ARGV[1], 'version', ARGV[2], 'stamp', ARGV[3], 'state', ARGV[4], 'parts', ARGV[5],
    'offset', ARGV[6], 'at', ARGV[7], 'ready', 0, 'delayed', 0, 'seq', 0, 'arrivals', 0, 'roster', 0,
    'sorted', 0, 'swept', 0)
return ARGV[1]
""")

# Arguments: the known version and stamp, worker, token of the lock or '', its life in ms, how many ready jobs.
# Returns false if somebody else has the lock.
LOAD: Final = Script("""
if ARGV[4] ~= '' then
    local holder = redis.call('GET', lock)
    if holder and holder ~= ARGV[4] then return false end
    redis.pcall('SET', lock, ARGV[4], 'PX', ARGV[5])  -- without the memory for it, it is done without
end
local time = redis.call('TIME')
local commit = redis.call('HGET', commits, ARGV[3])
local known = redis.call('HMGET', head, 'version', 'stamp')
if known[1] == ARGV[1] and known[2] == ARGV[2] then return {time[1], time[2], commit} end
local first = redis.call('ZRANGE', ready, 0, ARGV[6] - 1)
return {
    time[1], time[2], commit,
    redis.call('HMGET', head, 'version', 'stamp', 'state', 'parts', 'offset', 'at', 'ready', 'delayed', 'seq',
        'arrivals', 'roster', 'sorted'),
    values(jobs, redis.call('SMEMBERS', running)),
    values(jobs, first), values(data, first),
    redis.call('ZRANGE', ready, -1, -1, 'WITHSCORES'),
    redis.call('ZRANGE', due, 0, 0, 'WITHSCORES'),
    redis.call('ZRANGE', expiry, 0, 0, 'WITHSCORES'),
    redis.call('HLEN', workers)
}
""")

# Arguments: the version and stamp that have to be there, time or '', tolerance, token of the lock or '', channel,
# notice or '', worker, number of its commit, how many new jobs, their ids, how many new unique keys, these, how many
# jobs come back, their ids, whether to go on when memory is full, and then commands: name, number of the key, how many
# arguments, the arguments. Returns 0 if it was not as supposed, 1 when it is done, 2 if a new job is not new.
WRITE: Final = Script("""
local at = 10
-- Whether any of the next fields is there, or is not.
local function any(key, there)
    local count = tonumber(ARGV[at])
    local first = at + 1
    at = first + count
    for i = first, at - 1, 1000 do
        for _, one in ipairs(redis.call('HMGET', key, unpack(ARGV, i, math.min(i + 999, at - 1)))) do
            if (one and true or false) == there then return true end
        end
    end
    return false
end
-- Whoever is alone does not ask for the lock; but it must not be faster for ever than those who had to.
local holder = redis.call('GET', lock)
if holder and holder ~= ARGV[5] then return 0 end
local known = redis.call('HMGET', head, 'version', 'stamp')
local supposed = known[1] == ARGV[1] and known[2] == ARGV[2]
local time = redis.call('TIME')
if supposed and ARGV[3] ~= '' then
    supposed = math.abs(time[1] + time[2] / 1000000 - tonumber(ARGV[3])) <= tonumber(ARGV[4])
end
local answer = supposed and 1 or 0
if supposed then
    if any(ids, true) or any(unique, true) then
        answer = 2
    elseif any(ids, false) then
        answer = 0  -- what has ended may be removed at any time, also between the look at it and this
    end
end
if answer ~= 1 then
    if ARGV[5] ~= '' then unlock(ARGV[5]) end
    return answer
end
-- The server refuses for want of memory only before the first write, and only if that may need some.
if ARGV[at] == '1' then redis.call('HDEL', head, '') end
local i = at + 1
while i <= #ARGV do
    local name, key, last = ARGV[i], KEYS[tonumber(ARGV[i + 1])], i + 2 + ARGV[i + 2]
    if name == 'COUNT' then
        if redis.call('HINCRBY', key, ARGV[i + 3], ARGV[i + 4]) == 0 then redis.call('HDEL', key, ARGV[i + 3]) end
    elseif name == 'KIND' then
        if redis.call('EXISTS', key) == 0 then redis.call('SREM', kinds, ARGV[i + 3]) end
    else
        redis.call(name, key, unpack(ARGV, i + 3, last))
    end
    i = last + 1
end
redis.call('HSET', commits, ARGV[8], ARGV[9] .. ' ' .. time[1])
if ARGV[5] ~= '' then unlock(ARGV[5]) end
if ARGV[7] ~= '' then redis.call('PUBLISH', ARGV[6], ARGV[7]) end
return 1
""")

# Arguments: token.
UNLOCK: Final = Script("""
unlock(ARGV[1])
""")

# Arguments: now, how many at most, stamp. Returns how many.
PROMOTE: Final = Script("""
local found = redis.call('ZRANGEBYSCORE', due, '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
if #found == 0 then return 0 end
redis.call('ZREM', due, unpack(found))
local entries = {}
for _, member in ipairs(found) do
    entries[#entries + 1] = string.sub(member, 13)
    entries[#entries + 1] = string.sub(member, 1, 12)
end
redis.call('ZADD', ready, unpack(entries))
redis.call('HINCRBY', head, 'version', 1)
redis.call('HINCRBY', head, 'sorted', 1)
redis.call('HINCRBY', head, 'ready', #found)
redis.call('HINCRBY', head, 'delayed', -#found)
redis.call('HSET', head, 'stamp', ARGV[3])
if tonumber(redis.call('HGET', head, 'at')) < tonumber(ARGV[1]) then redis.call('HSET', head, 'at', ARGV[1]) end
return #found
""")

# Returns how many commits there have been that did not sort jobs by how they ended, from when on some of these may be
# found, and until when nothing has been written since; false if all of them have been looked through.
UNSORTED: Final = Script("""
local found = redis.call('HMGET', head, 'version', 'sorted', 'swept', 'swept_to', 'at')
if not found[1] then return false end
local unsorted = string.format('%.0f', found[1] - (found[2] or 0))
if found[3] == unsorted then return false end
return {unsorted, found[4] or '-inf', found[5]}
""")

# Arguments: score, number, how many, and the states of the keys behind the usual ones. Puts jobs that stand with those
# that have succeeded where they belong. Returns the score and the number of the last one that was looked at.
SORT: Final = Script("""
local first = before(ended, ARGV[1], ARGV[2])
local found = redis.call('ZRANGE', ended, first, first + ARGV[3] - 1, 'WITHSCORES')
local places = {}
for i = 4, #ARGV do places[ARGV[i]] = i - 3 end
for i = 1, #found, 2 do
    local fine, row = pcall(cjson.decode, redis.call('HGET', jobs, found[i]) or '')
    local place = fine and places[row[14]]
    if place then
        redis.call('ZREM', ended, found[i])
        redis.call('ZADD', shelf(place), found[i + 1], found[i])
    end
end
if #found < 2 * ARGV[3] then return false end
return {found[#found], found[#found - 1]}
""")

# Arguments: version of the layout, and as UNSORTED gave it: how many commits, until when.
SORTED: Final = Script("""
if redis.call('EXISTS', head) == 1 then
    redis.call('HSET', head, 'layout', ARGV[1], 'swept', ARGV[2], 'swept_to', ARGV[3])
end
""")

# Arguments: time, how many at most. Returns numbers, the places of the sets in which they are, and rows.
ENDED: Final = Script("""
local found = {}
for place = 0, #KEYS - USUAL do
    local some = redis.call('ZRANGEBYSCORE', shelf(place), '-inf', '(' .. ARGV[1], 'WITHSCORES', 'LIMIT', 0, ARGV[2])
    for i = 1, #some, 2 do found[#found + 1] = {tonumber(some[i + 1]), some[i], place} end
end
table.sort(found, function(one, other)
    if one[1] == other[1] then return number(one[2]) < number(other[2]) end
    return one[1] < other[1]
end)
local numbers, places = {}, {}
for i = 1, math.min(#found, ARGV[2]) do
    numbers[i] = found[i][2]
    places[i] = found[i][3]
end
return {numbers, places, values(jobs, numbers)}
""")

# Arguments: of each job its number, the place of its set, its id, and the field of its batch or ''. Then nothing more
# is known of it.
REMOVE: Final = Script("""
local count = 0
for i = 1, #ARGV, 4 do
    if redis.call('ZREM', shelf(tonumber(ARGV[i + 1])), ARGV[i]) == 1 then
        count = count + 1
        redis.call('HDEL', jobs, ARGV[i])
        redis.call('HDEL', data, ARGV[i], ARGV[i] .. '+')
        redis.call('HDEL', ids, ARGV[i + 2])
        if ARGV[i + 3] ~= '' and redis.call('HINCRBY', batches, ARGV[i + 3], -1) == 0 then
            redis.call('HDEL', batches, ARGV[i + 3])
        end
    end
end
return count
""")

# Arguments: field. Removes what workers have left there that have long been gone.
FORGET: Final = Script("""
local time = redis.call('TIME')[1]
local all = redis.call('HGETALL', commits)
for i = 1, #all, 2 do
    local said = tonumber(string.match(all[i + 1], ' (.*)'))
    if time - said > tonumber(ARGV[1]) and redis.call('HEXISTS', workers, all[i]) == 0 then
        redis.call('HDEL', commits, all[i])
    end
end
""")

# Arguments: sort key, number, how many, '1' with arguments. Returns rows and arguments.
IN_ORDER: Final = Script("""
local first = before(ready, ARGV[1], ARGV[2])
local found = redis.call('ZRANGE', ready, first, first + ARGV[3] - 1)
return {values(jobs, found), ARGV[4] == '1' and values(data, found) or {}}
""")

# Arguments: number of the key, score, number.
BEFORE: Final = Script("""
return before(KEYS[tonumber(ARGV[1])], ARGV[2], ARGV[3])
""")

# Arguments: how many ids, these, unique keys. Returns rows, and arguments, also large ones, or results, of those that
# there are.
FIND: Final = Script("""
local count = tonumber(ARGV[1])
local wanted, seen = {}, {}
for place, key in ipairs({ids, unique}) do
    local first, last = place == 1 and 2 or count + 2, place == 1 and count + 1 or #ARGV
    for i = first, last, 1000 do
        for _, one in ipairs(redis.call('HMGET', key, unpack(ARGV, i, math.min(i + 999, last)))) do
            if one and not seen[one] then
                seen[one] = true
                wanted[#wanted + 1] = one
            end
        end
    end
end
local large = {}
for i = 1, #wanted do large[i] = wanted[i] .. '+' end
large = values(data, large)
local found = values(data, wanted)
for i = 1, #wanted do found[i] = found[i] or large[i] end
return {values(jobs, wanted), found}
""")

# Arguments: how many. The keys after the usual ones are those of kinds. Returns rows and arguments.
OLDEST: Final = Script("""
local found = {}
for i = USUAL + 1, #KEYS do
    local some = redis.call('ZRANGE', KEYS[i], 0, ARGV[1] - 1, 'WITHSCORES')
    for j = 1, #some, 2 do found[#found + 1] = {tonumber(some[j + 1]), some[j]} end
end
table.sort(found, function(one, other) return one[1] < other[1] end)
local first = {}
for i = 1, math.min(#found, ARGV[1]) do first[i] = found[i][2] end
return {values(jobs, first), values(data, first)}
""")

# Arguments: latest time, first and how many of them. Returns rows and arguments.
EXPIRED: Final = Script("""
local found = redis.call('ZRANGEBYSCORE', expiry, '-inf', ARGV[1], 'LIMIT', ARGV[2], ARGV[3])
return {values(jobs, found), values(data, found)}
""")

# Arguments: first and how many. The key after the usual ones is that of the kind. Returns rows and arguments.
OF_KIND: Final = Script("""
local found = redis.call('ZRANGE', KEYS[USUAL + 1], ARGV[1], ARGV[1] + ARGV[2] - 1)
return {values(jobs, found), values(data, found)}
""")

# Arguments: '0' to begin among the ready jobs and '1' among the delayed ones, score, number, how many. Returns how many
# of them are ready, and rows.
WAITING: Final = Script("""
local found, count = {}, tonumber(ARGV[4])
local score, member = ARGV[2], ARGV[3]
if ARGV[1] == '0' then
    local first = before(ready, score, member)
    found = redis.call('ZRANGE', ready, first, first + count - 1)
    score, member = '-inf', '000000000000'
end
local of_ready = #found
if of_ready < count then
    local first = before(due, score, member)
    for _, one in ipairs(redis.call('ZRANGE', due, first, first + count - of_ready - 1)) do
        found[#found + 1] = string.sub(one, 1, 12)
    end
end
return {of_ready, values(jobs, found)}
""")

# Arguments: score and number before which to begin, or '' and '' for the last; how many. The key of the set is behind
# the usual ones, or it is that of jobs that have succeeded. Returns rows, the last first.
LAST: Final = Script("""
local key = shelf(#KEYS - USUAL)
local stop = ARGV[1] == '' and redis.call('ZCARD', key) or before(key, ARGV[1], ARGV[2])
if stop == 0 then return {} end
return values(jobs, reversed(redis.call('ZRANGE', key, math.max(0, stop - ARGV[3]), stop - 1)))
""")

# Returns how many jobs there are in each set.
TALLY: Final = Script("""
local counts = {}
for place = 0, #KEYS - USUAL do counts[place + 1] = redis.call('ZCARD', shelf(place)) end
return counts
""")
