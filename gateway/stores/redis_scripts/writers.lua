-- A writer is a store that some gateway has open. What it is known by here is `w:<writer>`: its generation (gn), the
-- number of the last batch of it that ran (nr), and how to take that one back (un). A batch of another generation, or
-- one that does not follow the last one, is refused: it comes late, or what it builds on has been lost.

local META, LEASE = PREFIX .. 'meta', PREFIX .. 'gateway'
local WRITER_KEY = PREFIX .. 'w:' .. WRITER

local GONE = 'GONE '

local function check_writer()
    local known = call('HMGET', WRITER_KEY, 'gn', 'nr')
    if not known[1] then
        return GONE .. 'what was on record has been deleted, or this is another data set'
    end
    if known[1] ~= GENERATION then
        return GONE .. 'this is of an earlier connection'
    end
    if NUMBER > 0 and tonumber(known[2]) ~= NUMBER - 1 or NUMBER <= 0 and tonumber(known[2]) ~= -NUMBER then
        return GONE .. 'the data set is an earlier state: something that was on record is lost'
    end
end

local function pack_before(events)
    local images = {}
    for id, image in pairs(before) do
        images[#images + 1] = {id, image}
    end
    return cmsgpack.pack({events, images})
end

local function take_back(packed)
    local events, images = unpack(cmsgpack.unpack(packed))
    for _, pair in ipairs(images) do
        local id, image = pair[1], pair[2]
        local record = load(id)
        if image and #image == 6 then
            if record then
                moved[id] = record
                for number, place in ipairs({DL, IF, HU, CC, EA, LA}) do
                    record[place] = image[number]
                end
            end
        elseif image then
            image.id = id
            put(image)
        elseif record then
            drop(record)
        end
    end
    write_moved()
    forget_written_since(events)
end

-- A gateway's claim to the prefix. Whose it is has a name that is the same when it starts again (holder), so that it
-- need not wait for its own claim to run out. Returns who has it, in words for people, or nil when it is this writer's.
local function claim(who, holder, milliseconds)
    if holder == '' then
        return nil
    end
    local known = call('HMGET', LEASE, 'holder', 'writer', 'who')
    if known[1] and known[1] ~= holder then
        return known[3]
    end
    if known[2] and known[2] ~= WRITER then
        call('DEL', PREFIX .. 'w:' .. known[2])
    end
    call('HSET', LEASE, 'holder', holder, 'writer', WRITER, 'who', who)
    call('PEXPIRE', LEASE, milliseconds)
    return nil
end

-- a: who, holder, milliseconds of the claim, seconds for which the writer is remembered, the schema, a random name for
-- the data set if it has none.
local function enter(a)
    local schema = call('HGET', META, 'schema')
    if schema and tonumber(schema) > tonumber(a[5]) then
        return {'newer', schema}
    end
    local held_by = claim(a[1], a[2], a[3])
    if held_by then
        return {'held', held_by}
    end
    call('HSET', META, 'schema', a[5])
    call('HSETNX', META, 'id', a[6])
    if not last_event() then
        begin_anew()
    end
    call('HSET', WRITER_KEY, 'gn', GENERATION, 'nr', '0', 'un', '')
    call('EXPIRE', WRITER_KEY, a[4])
    return {'entered', call('HGET', META, 'id')}
end

-- a: as for enter, then the last batch of which the gateway knows that it ran, and its generation. Another one, later,
-- may have run: it is taken back. Returns besides whether something is lost, and whether something was taken back.
local function recover(a)
    local acknowledged = tonumber(a[7])
    local known = call('HMGET', WRITER_KEY, 'gn', 'nr', 'un')
    local ran, late = known[1] and tonumber(known[2]), false
    local lost = not ran
    if known[1] == a[8] then
        lost, late = ran < acknowledged, ran > acknowledged
    end
    if late and known[3] ~= '' then
        take_back(known[3])
    end
    local entered = enter(a)
    if entered[1] == 'entered' and lost then
        begin_anew()
    end
    return {entered[1], entered[2], lost and 1 or 0, late and 1 or 0}
end

local function leave()
    call('DEL', WRITER_KEY)
    if call('HGET', LEASE, 'writer') == WRITER then
        call('DEL', LEASE)
    end
    return 1
end

-- a: as for enter.
function ops.remain(a)
    call('EXPIRE', WRITER_KEY, a[4])
    return claim(a[1], a[2], a[3]) or ''
end
