-- One entry in the stream `events` for each session that began or finished: the mark of the batch that wrote it, the
-- owner, and when it happened. What the session then was is in a stream of its owner, under the same number.

local EVENTS = PREFIX .. 'events'

local function events_of(owner)
    return PREFIX .. 'e:' .. owner
end

local function number_of(entry)
    return tonumber(string.match(entry[1], '^%d+'))
end

local function fields_of(entry)
    local fields, flat = {}, entry[2]
    for place = 1, #flat, 2 do
        fields[flat[place]] = flat[place + 1]
    end
    return fields
end

local function next_event()
    local number = call('HINCRBY', META, 'events', 1)
    events_before = events_before or number - 1
    return number .. '-0'
end

local function tell(record)
    local id, owner = next_event(), record[OW]
    local happened = record[EN] ~= '' and record[EN] or record[CA]
    call('XADD', EVENTS, id, 'm', MARK, 'o', owner, 't', happened)
    call('XADD', events_of(owner), id, 'm', MARK, 's', cmsgpack.pack(values_of(record)))
    call('EXPIRE', events_of(owner), RETENTION)
end

-- Forget all that has happened: some of it may be lost, and no watch may go on as if nothing were missing. What is left
-- of the owners' streams is of numbers that nobody can ask for any more, and runs out.
local function begin_anew()
    call('XADD', EVENTS, next_event(), 'm', MARK, 'o', '', 't', '0')
    call('XTRIM', EVENTS, 'MAXLEN', 1)
end

local function last_event()
    return call('XREVRANGE', EVENTS, '+', '-', 'COUNT', 1)[1]
end

-- Forget what the batch with this mark has told, and nothing that other gateways have told since. Where there are others
-- the place of an event stays: one of their watches may be behind it by now.
local function forget_told(number, mark, alone)
    for _, entry in ipairs(call('XRANGE', EVENTS, '(' .. number .. '-0', '+')) do
        if fields_of(entry).m == mark then
            call('XDEL', events_of(fields_of(entry).o), entry[1])
            if alone then
                call('XDEL', EVENTS, entry[1])
            end
        end
    end
end

function ops.position()
    local entry = last_event()
    return {whole(number_of(entry)), fields_of(entry).m}
end

-- a: number, mark ('' if it is the middle of a walk), limit, owner, status, app, version ('' for any).
-- Returns how it went, the cursor behind what was looked at, whether there is more, and of each event its cursor and
-- its session.
function ops.events(a)
    local after, mark, limit = tonumber(a[1]), a[2], tonumber(a[3])
    local last = last_event()
    local last_number, last_mark = number_of(last), fields_of(last).m
    if mark ~= '' then
        if after == last_number and mark == last_mark then
            return {'same'}
        end
        local there = call('XRANGE', EVENTS, a[1] .. '-0', a[1] .. '-0')[1]
        if not there or fields_of(there).m ~= mark then
            return {after < number_of(call('XRANGE', EVENTS, '-', '+', 'COUNT', 1)[1]) and 'forgotten' or 'unknown'}
        end
    end
    local owner = a[4]
    local source = owner ~= '' and events_of(owner) or EVENTS
    local entries = call('XRANGE', source, '(' .. a[1] .. '-0', last[1], 'COUNT', LOOK)
    local found, at, at_mark = {}, last_number, last_mark
    local more = #entries == LOOK
    for _, entry in ipairs(entries) do
        local fields = fields_of(entry)
        local packed = fields.s
        if not packed and fields.o ~= '' then
            local there = call('XRANGE', events_of(fields.o), entry[1], entry[1])[1]
            packed = there and fields_of(there).s
        end
        local values = packed and cmsgpack.unpack(packed)
        if values and (a[5] == '' or values[11] == a[5]) and (a[6] == '' or values[3] == a[6])
            and (a[7] == '' or values[4] == a[7]) then
            found[#found + 1] = {whole(number_of(entry)), fields.m, values}
        end
        if #found == limit or more then
            at, at_mark = number_of(entry), fields.m
        end
        if #found == limit then
            more = false
            break
        end
    end
    return {'walked', whole(at), at_mark, more and 1 or 0, found}
end

-- a: wall-clock time. From the oldest on and no further than to the first that is not old enough: a clock that was set
-- back must not have a younger event forgotten before an older one. The newest that is old enough stays, as the cursors
-- of those who have seen it are still good. Returns how many went, and whether there may be more.
function ops.forget(a)
    local until_time = tonumber(a[1])
    local entries = call('XRANGE', EVENTS, '-', '+', 'COUNT', LOOK)
    local stays = nil
    for place, entry in ipairs(entries) do
        if tonumber(fields_of(entry).t) >= until_time then
            break
        end
        stays = place
    end
    if stays == nil then
        return {0, 0}
    end
    for place = 1, stays - 1 do
        local owner = fields_of(entries[place]).o
        call('XDEL', events_of(owner), entries[place][1])
        if call('XLEN', events_of(owner)) == 0 then
            call('DEL', events_of(owner))
        end
    end
    call('XTRIM', EVENTS, 'MINID', entries[stays][1])
    return {stays - 1, stays == LOOK and 1 or 0}
end
