-- Several gateways under one prefix. Each is a member with a name that is the same when it is started again, and has
-- shards: the sessions whose ids carry these. Who has which changes here only, one step at a time.
--   members    the names, by the moment until which each counts as alive: milliseconds by the server's clock
--   m:<name>   writer and address (both empty for one that has left), who (in words for people), watches
--   shards     of each shard how often it has changed hands, and the name of who has it: none when it is free
-- In meta: shards (the number of the last one), secret, and agreed, which is what the settings of all must have in common.

local LEASE = PREFIX .. 'gateway'
local MEMBERS, SHARDS = PREFIX .. 'members', PREFIX .. 'shards'
local LETTERS = 'abcdefghijklmnopqrstuvwxyz234567'

-- Shards are numbered from a place that is drawn for the data set, so that those of an earlier one do not come again.
local FIRST_SHARDS = 32768

local function server_now()
    local time = call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function member_key(name)
    return PREFIX .. 'm:' .. name
end

local function in_letters(number)
    local text = ''
    repeat
        local digit = number % 32
        text = string.sub(LETTERS, digit + 1, digit + 1) .. text
        number = (number - digit) / 32
    until number == 0
    return text
end

local function hold(shard, epoch, name)
    call('HSET', SHARDS, shard, whole(epoch) .. ' ' .. name)
end

local function held(entry)
    local epoch, name = string.match(entry or '0 ', '^(%d+) (.*)$')
    return tonumber(epoch), name
end

local function shards_of(name)
    local found, entries = {}, call('HGETALL', SHARDS)
    for place = 1, #entries, 2 do
        local epoch, holder = held(entries[place + 1])
        if holder == name then
            found[entries[place]] = epoch
        end
    end
    return found
end

-- Have everything refused that a writer may still send.
local function fence(writer)
    if writer and writer ~= '' and call('EXISTS', PREFIX .. 'w:' .. writer) == 1 then
        call('HSET', PREFIX .. 'w:' .. writer, 'gn', FENCED)
    end
end

local function forget_member(name)
    fence(call('HGET', member_key(name), 'writer'))
    call('ZREM', MEMBERS, name)
    call('DEL', member_key(name))
end

-- Whether members are alive, or have left sessions. If not, nothing is left of them.
local function nobody_left()
    if call('EXISTS', SHARDS) == 0 then
        return true
    end
    if next(call('ZRANGEBYSCORE', MEMBERS, server_now(), '+inf')) then
        return false
    end
    for _, shard in ipairs(call('HKEYS', SHARDS)) do
        if shard ~= NO_SHARD and call('EXISTS', due_in(shard)) == 1 then
            return false
        end
    end
    for _, name in ipairs(call('ZRANGE', MEMBERS, 0, -1)) do
        forget_member(name)
    end
    call('DEL', SHARDS)
    return true
end

-- Who is there, and who has what: of each member its name, until when it counts as alive, its writer, its address and
-- whether it has watches; then the shards.
local function members_and_shards()
    local members, entries = {}, call('ZRANGE', MEMBERS, 0, -1, 'WITHSCORES')
    for place = 1, #entries, 2 do
        local known = call('HMGET', member_key(entries[place]), 'writer', 'address', 'watches')
        members[#members + 1] = {entries[place], entries[place + 1], known[1] or '', known[2] or '', known[3] or ''}
    end
    return {members, call('HGETALL', SHARDS)}
end

-- Why a member cannot enter, or nil.
local function keeps_out(a, now)
    local name, agreed, again = a[2], a[7], a[9]
    local alone = call('HMGET', LEASE, 'holder', 'who')
    if alone[1] and alone[1] ~= name then
        return {'alone', alone[2]}
    end
    for _, other in ipairs(call('ZRANGEBYSCORE', MEMBERS, now, '+inf')) do
        if other ~= name and call('HGET', META, 'agreed') ~= agreed then
            return {'differs', call('HGET', META, 'agreed') or '', call('HGET', member_key(other), 'who')}
        end
    end
    local known = call('HMGET', member_key(name), 'writer', 'who')
    if again ~= '' and known[1] and known[1] ~= '' and known[1] ~= WRITER
        and tonumber(call('ZSCORE', MEMBERS, name) or 0) > now then
        return {'twin', known[2]}
    end
    for shard, epoch in string.gmatch(a[8], '(%S+) (%d+)') do
        local there, holder = held(call('HGET', SHARDS, shard))
        if holder ~= name and there >= tonumber(epoch) then
            return {'fenced'}
        end
    end
end

-- a: as for enter. What the gateway says that it holds is put back where an earlier state of the data set does not know
-- of it. Without anything that it holds it gets a shard, for the sessions that it will open.
local function join(a)
    local name, now = a[2], server_now()
    local out = keeps_out(a, now)
    if out then
        return out
    end
    for _, writer in ipairs({call('HGET', LEASE, 'writer'), call('HGET', member_key(name), 'writer')}) do
        if writer ~= WRITER then
            fence(writer)
        end
    end
    call('DEL', LEASE)
    for shard, epoch in string.gmatch(a[8], '(%S+) (%d+)') do
        local _, holder = held(call('HGET', SHARDS, shard))
        if holder ~= name then
            if holder ~= '' then
                fence(call('HGET', member_key(holder), 'writer'))
            end
            hold(shard, epoch, name)
        end
    end
    call('HSETNX', META, 'secret', string.sub(a[10], 17))
    call('HSETNX', META, 'shards', whole(FIRST_SHARDS + tonumber(string.sub(a[10], 1, 5), 16)))
    call('HSET', META, 'agreed', a[7])
    call('HSET', member_key(name), 'writer', WRITER, 'who', a[1], 'address', a[6], 'watches', '')
    call('ZADD', MEMBERS, whole(now + a[3]), name)
    local shard = ''
    if a[8] == '' then
        shard = in_letters(call('HINCRBY', META, 'shards', 1))
        hold(shard, 1, name)
        if call('EXISTS', DUE) == 1 and call('HEXISTS', SHARDS, NO_SHARD) == 0 then
            hold(NO_SHARD, 1, name)
        end
    end
    return {'entered', '', shard, call('HGET', META, 'secret'), members_and_shards()}
end

-- a: name, milliseconds for which its shards are kept for it ('' to have them free at once).
local function part(a)
    local kept = false
    for shard, epoch in pairs(shards_of(a[1])) do
        if call('EXISTS', due_in(shard)) == 0 then
            call('HDEL', SHARDS, shard)
        elseif a[2] == '' then
            hold(shard, epoch, '')
        else
            kept = true
        end
    end
    if kept then
        call('HSET', member_key(a[1]), 'writer', '', 'address', '', 'watches', '')
        call('ZADD', MEMBERS, whole(server_now() + a[2]), a[1])
    else
        forget_member(a[1])
    end
end

-- a: name, milliseconds for which it counts as alive, seconds for which the writer is remembered, whether it has watches,
-- the shard of the sessions that it opens. Shards without a session go, and so do members of whom nothing is left.
function ops.beat(a)
    local name, now = a[1], server_now()
    call('EXPIRE', WRITER_KEY, a[3])
    call('HSET', member_key(name), 'watches', a[4])
    call('ZADD', MEMBERS, whole(now + a[2]), name)
    for shard in pairs(shards_of(name)) do
        if shard ~= a[5] and call('EXISTS', due_in(shard)) == 0 then
            call('HDEL', SHARDS, shard)
        end
    end
    for _, other in ipairs(call('ZRANGEBYSCORE', MEMBERS, '-inf', '(' .. now)) do
        if next(shards_of(other)) == nil then
            forget_member(other)
        end
    end
    return members_and_shards()
end

-- a: name, shard, who has it ('' if it is free), until when that member counted as alive when it was last looked at.
-- Returns 1 if it is this member's from now on. One who has it and is alive keeps it; one who has not been heard of is
-- refused whatever it may still send.
function ops.take(a)
    local epoch, holder = held(call('HGET', SHARDS, a[2]))
    if epoch == 0 or holder ~= a[3] then
        return 0
    end
    if holder ~= '' then
        local alive_until = tonumber(call('ZSCORE', MEMBERS, holder) or 0)
        if alive_until > server_now() or alive_until > tonumber(a[4]) then
            return 0
        end
        fence(call('HGET', member_key(holder), 'writer'))
    end
    hold(a[2], epoch + 1, a[1])
    if holder ~= '' and next(shards_of(holder)) == nil then
        forget_member(holder)
    end
    return 1
end

-- a: shard, place, how many. Returns how many entries were looked at, and the active sessions among them with epochs
-- raised by one: a worker that learns of it refuses whoever had them before.
function ops.inherit(a)
    local found = {}
    local ids = call('ZRANGE', due_in(a[1]), a[2], a[2] + a[3] - 1)
    for _, id in ipairs(ids) do
        local record = load(id)
        if record and record[ST] == ACTIVE then
            keep(id, record)
            record[EP] = whole(record[EP] + 1)
            call('HSET', record_key(id), 'ep', record[EP])
            found[#found + 1] = values_of(record)
        end
    end
    return {#ids, found}
end
of_indexes.inherit = true
