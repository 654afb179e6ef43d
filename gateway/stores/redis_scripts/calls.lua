-- What happens to single sessions. `a` are an operation's arguments; times are seconds, `seen` is the moment by which
-- a session may be found due: a little before now, as the clocks of gateways differ.

local ops = {}

local function finish_as(record, status, reason, ended, code, signal)
    keep(record.id, record)
    moved[record.id] = nil
    local id, owner, seq = record.id, record[OW], record[SQ]
    call('ZREM', by_status(owner, ACTIVE), id)
    call('ZREM', LIVE, id)
    call('ZREM', due_of(id), id)
    record[ST], record[ER], record[EN], record[XC], record[XS] = status, reason, ended, code, signal
    call('HSET', record_key(id), 'st', status, 'er', reason, 'en', ended, 'xc', code, 'xs', signal, 'dl', record[DL],
        'if', record[IF], 'hu', record[HU], 'cc', record[CC], 'ea', record[EA], 'la', record[LA])
    call('EXPIRE', record_key(id), RETENTION)
    call('ZADD', by_status(owner, status), seq, id)
    call('ZADD', DONE, ended, done_entry(record))
    tell(record)
end

local function expire(record, wall)
    finish_as(record, EXPIRED, IDLE, wall, '', '')
end

local function slide(record, now, wall)
    record[DL] = real(now + record[TO])
    record[EA] = real(wall + record[TO])
end

local function end_calls(record, count, now, wall, taken_back)
    move(record)
    record[IF] = whole(math.max(record[IF] - count, 0))
    if record[ST] == ACTIVE then
        record[CC] = whole(record[CC] - taken_back)
        if now + record[TO] > tonumber(record[DL]) then
            slide(record, now, wall)
        end
    end
end

-- What the gateway cannot work out of what it knows: with the epoch that it knows only what calls change.
local function answer(record, epoch)
    if epoch == record[EP] and record[ST] == ACTIVE then
        return {record[DL], record[EA], record[LA], record[CC], record[IF]}
    end
    return values_of(record)
end

-- a: the id, and the arguments that follow it.
local function of_one(work)
    return function(a)
        local record = load(a[1])
        return record and work(record, a)
    end
end

-- a: "=" and the owner ('' for anybody).
ops.get = of_one(function(record, a)
    return (a[2] == '' or a[2] == '=' .. record[OW]) and values_of(record)
end)

-- a: now, wall, seen, hold_until, epoch.
ops.admit = of_one(function(record, a)
    if record[ST] == ACTIVE then
        if due_from(record) <= tonumber(a[4]) then
            expire(record, a[3])
        else
            move(record)
            record[IF], record[CC] = whole(record[IF] + 1), whole(record[CC] + 1)
            record[LA], record[HU] = a[3], a[5]
            slide(record, tonumber(a[2]), tonumber(a[3]))
        end
    end
    return answer(record, a[6])
end)

-- a: now, wall, 1 if it is taken back from the count, epoch.
ops.finish = of_one(function(record, a)
    end_calls(record, 1, tonumber(a[2]), tonumber(a[3]), tonumber(a[4]))
    return answer(record, a[5])
end)

-- a: now, wall, how many calls: of the last one the moment.
ops.ends = of_one(function(record, a)
    end_calls(record, tonumber(a[4]), tonumber(a[2]), tonumber(a[3]), 0)
    return 1
end)

-- a: now, wall, seen, epoch.
ops.renew = of_one(function(record, a)
    if record[ST] == ACTIVE then
        if due_from(record) <= tonumber(a[4]) then
            expire(record, a[3])
        else
            move(record)
            slide(record, tonumber(a[2]), tonumber(a[3]))
        end
    end
    return answer(record, a[5])
end)

-- a: now ('' to leave the window), wall, in_flight, call_count ('' to leave it), hold_until.
ops.adopt = of_one(function(record, a)
    if record[ST] == ACTIVE then
        move(record)
        record[IF], record[HU] = a[4], a[6]
        if a[5] ~= '' then
            record[CC] = a[5]
        end
        if a[2] ~= '' then
            if a[2] + record[TO] > tonumber(record[DL]) then
                record[DL] = real(a[2] + record[TO])
            end
            if a[3] + record[TO] > tonumber(record[EA]) then
                record[EA] = real(a[3] + record[TO])
            end
        end
    end
    return values_of(record)
end)

-- a: wall, status, reason, exit code, signal ('' for none), how many calls run ('' for all).
ops['end'] = of_one(function(record, a)
    if record[ST] == ACTIVE then
        keep(record.id, record)
        if a[7] ~= '' then
            record[CC] = whole(record[CC] - math.max(record[IF] - a[7], 0))
        end
        finish_as(record, a[3], a[4], a[2], a[5], a[6])
    end
    return values_of(record)
end)

-- a: seen, wall.
ops.expire = of_one(function(record, a)
    if record[ST] == ACTIVE and due_from(record) <= tonumber(a[2]) then
        expire(record, a[3])
    end
    return values_of(record)
end)

-- a: seen, wall, ids.
function ops.expire_many(a)
    local found, seen = {}, tonumber(a[1])
    for place = 3, #a do
        local record = load(a[place])
        if record then
            if record[ST] == ACTIVE and due_from(record) <= seen then
                expire(record, a[2])
            end
            found[#found + 1] = values_of(record)
        end
    end
    return found
end

-- a: now, wall, seen, owner, ids. Returns the places of those that were renewed.
function ops.renew_many(a)
    local renewed, now, wall, seen = {}, tonumber(a[1]), tonumber(a[2]), tonumber(a[3])
    for place = 5, #a do
        local record = load(a[place])
        if record and record[OW] == a[4] and record[ST] == ACTIVE and due_from(record) > seen then
            move(record)
            slide(record, now, wall)
            renewed[#renewed + 1] = place - 5
        end
    end
    return renewed
end

-- a: hold_until, ids.
function ops.hold(a)
    for place = 2, #a do
        local record = load(a[place])
        if record and record[IF] ~= '0' and tonumber(record[HU]) < tonumber(a[1]) then
            move(record)
            record[HU] = a[1]
        end
    end
    return 1
end

-- The fields of a record from those that the gateway gives, from a place on: the order of `values_of`.
local function given(a, first)
    local function at(place)
        return a[first + place - 1]
    end
    return {id = at(1), at(11), at(10), at(18), '0', at(7), at(17), at(9), at(15), at(12), at(13), at(14), at(16), '',
        at(2), at(3), at(4), at(5), at(6), at(8)}
end

local function next_place()
    return whole(call('HINCRBY', PREFIX .. 'meta', 'sessions', 1))
end

-- a: hold_until, how many active ones its owner may have ('' for any number), the record.
function ops.create(a)
    local record = given(a, 3)
    if load(record.id) then
        return 'taken'
    end
    if a[2] ~= '' and call('ZCARD', by_status(record[OW], ACTIVE)) >= tonumber(a[2]) then
        return 'over'
    end
    keep(record.id, nil)
    record[HU], record[SQ] = a[1], next_place()
    put(record)
    tell(record)
    return 'created'
end

-- a: hold_until, the records one after another.
function ops.restore(a)
    for first = 2, #a, 18 do
        local record = given(a, first)
        local old = load(record.id)
        keep(record.id, old)
        record[HU], record[SQ] = a[1], old and old[SQ] or next_place()
        local status = old and old[ST]
        put(record)
        if record[ST] ~= status then
            tell(record)
        end
    end
    return 1
end
