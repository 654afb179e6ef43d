-- What happens to records beside their calls, and the indexes by which they are found.

local function by_owner(owner)
    return PREFIX .. 'o:' .. owner
end

local function by_status(owner, status)
    return PREFIX .. 'os:' .. status .. ':' .. owner
end

local function by_app(owner, app)
    return PREFIX .. 'oa:' .. #owner .. ':' .. owner .. ':' .. app
end

local ALL, LIVE, DONE = PREFIX .. 'all', PREFIX .. 'active', PREFIX .. 'done'

-- Called before anything else of a record is changed, and with nil before one is added.
local function keep(id, record)
    local image = before[id]
    if image == nil or (image and #image == 6) then
        local whole_image = false
        if record then
            whole_image = {}
            for place = 1, #FIELDS do
                whole_image[place] = record[place]
            end
            if image then
                for number, place in ipairs({DL, IF, HU, CC, EA, LA}) do
                    whole_image[place] = image[number]
                end
            end
        end
        before[id] = whole_image
    end
end

-- A finished session is found by what leads to all of its index entries, also when its record has run out.
local function done_entry(record)
    return cmsgpack.pack({record.id, record[OW], record[ST], record[AP]})
end

local function index(record)
    local seq, id, owner = record[SQ], record.id, record[OW]
    call('ZADD', ALL, seq, id)
    call('ZADD', by_owner(owner), seq, id)
    call('ZADD', by_status(owner, record[ST]), seq, id)
    call('ZADD', by_app(owner, record[AP]), seq, id)
    if record[ST] == ACTIVE then
        call('ZADD', LIVE, seq, id)
        call('ZADD', due_of(id), real(due_from(record)), id)
    else
        call('ZADD', DONE, record[EN], done_entry(record))
    end
end

local function unindex(id, owner, status, app)
    call('ZREM', ALL, id)
    call('ZREM', by_owner(owner), id)
    call('ZREM', by_status(owner, status), id)
    call('ZREM', by_app(owner, app), id)
    if status == ACTIVE then
        call('ZREM', LIVE, id)
        call('ZREM', due_of(id), id)
    end
end

local function drop(record)
    unindex(record.id, record[OW], record[ST], record[AP])
    if record[ST] ~= ACTIVE then
        call('ZREM', DONE, done_entry(record))
    end
    call('DEL', record_key(record.id))
    read[record.id], moved[record.id] = false, nil
end

-- Put a record in the place of whatever is there under its id.
local function put(record)
    local old = load(record.id)
    if old then
        drop(old)
    end
    local values = {}
    for place, field in ipairs(FIELDS) do
        values[2 * place - 1], values[2 * place] = field, record[place]
    end
    call('HSET', record_key(record.id), unpack(values))
    index(record)
    if record[ST] ~= ACTIVE then
        call('EXPIRE', record_key(record.id), RETENTION)
    end
    read[record.id] = record
end

function finish_as(record, status, reason, ended, code, signal)
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

-- a: now ('' to leave the window), wall, in_flight, call_count ('' to leave it), hold_until.
function of_record.adopt(record, a)
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
end

-- a: wall, status, reason, exit code, signal ('' for none), how many calls run ('' for all).
of_record['end'] = function(record, a)
    if record[ST] == ACTIVE then
        keep(record.id, record)
        if a[7] ~= '' then
            record[CC] = whole(record[CC] - math.max(record[IF] - a[7], 0))
        end
        finish_as(record, a[3], a[4], a[2], a[5], a[6])
    end
    return values_of(record)
end

-- a: seen, wall.
function of_record.expire(record, a)
    if record[ST] == ACTIVE and due_from(record) <= tonumber(a[2]) then
        expire(record, a[3])
    end
    return values_of(record)
end

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
    return whole(call('HINCRBY', META, 'sessions', 1))
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
