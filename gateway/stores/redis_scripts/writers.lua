-- How a writer becomes known, comes back after a failure, and goes.

local function take_back(packed, alone)
    local events, images, mark = unpack(cmsgpack.unpack(packed))
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
    if events then
        forget_told(events, mark, alone)
    end
end

-- A gateway's claim to have the prefix for itself. Whose it is has a name that is the same when it starts again (holder),
-- so that it need not wait for its own claim to run out. Returns why it cannot have it, or nil when it does.
local function claim(who, holder, milliseconds)
    if holder == '' then
        return nil
    end
    local known = call('HMGET', LEASE, 'holder', 'writer', 'who')
    if known[1] and known[1] ~= holder then
        return {'held', known[3]}
    end
    if not nobody_left() then
        local member = call('ZREVRANGE', MEMBERS, 0, 0)[1]
        return {'members', member and call('HGET', member_key(member), 'who') or ''}
    end
    if known[2] and known[2] ~= WRITER then
        call('DEL', PREFIX .. 'w:' .. known[2])
    end
    call('HSET', LEASE, 'holder', holder, 'writer', WRITER, 'who', who)
    call('PEXPIRE', LEASE, milliseconds)
    return nil
end

-- a: who, holder, milliseconds of the claim, seconds for which the writer is remembered, the schema; of a member besides
-- its address ('' for a gateway by itself), what the settings must have in common, the shards that it holds with their
-- epochs, whether it was fenced; then random letters, by which the data set is known if it is new.
function of_writers.enter(a)
    local schema = tonumber(call('HGET', META, 'schema') or 0)
    if schema > tonumber(a[5]) then
        return {'newer', whole(schema)}
    end
    local entered = {'entered', ''}
    if a[6] ~= '' then
        entered = join(a)
    else
        entered = claim(a[1], a[2], a[3]) or entered
    end
    if entered[1] ~= 'entered' then
        return entered
    end
    -- What a gateway by itself writes, releases can read that know nothing of members.
    call('HSET', META, 'schema', whole(math.max(schema, a[6] ~= '' and a[5] or 1)))
    call('HSETNX', META, 'id', string.sub(a[10], 1, 16))
    if not last_event() then
        begin_anew()
    end
    call('HSET', WRITER_KEY, 'gn', GENERATION, 'nr', '0', 'un', '')
    call('EXPIRE', WRITER_KEY, a[4])
    entered[2] = call('HGET', META, 'id')
    return entered
end

-- a: as for enter, then the last batch of which the gateway knows that it ran, its generation, and the data set. Another
-- batch, later, may have run: it is taken back. Returns besides whether something is lost, and whether something was
-- taken back.
function of_writers.recover(a)
    local acknowledged = tonumber(a[11])
    local known = call('HMGET', WRITER_KEY, 'gn', 'nr', 'un')
    if known[1] == FENCED or (a[6] ~= '' and not known[1] and call('HGET', META, 'id') == a[13]) then
        return {FENCED}
    end
    local ran, late = known[1] and tonumber(known[2]), false
    local lost = not ran
    if known[1] == a[12] then
        lost, late = ran < acknowledged, ran > acknowledged
    end
    if late and known[3] ~= '' then
        take_back(known[3], a[6] == '')
    end
    local entered = of_writers.enter(a)
    if entered[1] == 'entered' and lost then
        begin_anew()
    end
    return {entered, lost and 1 or 0, late and 1 or 0}
end

-- a: the name of a member ('' for a gateway by itself), milliseconds for which its shards are kept ('' to free them).
function of_writers.leave(a)
    call('DEL', WRITER_KEY)
    if call('HGET', LEASE, 'writer') == WRITER then
        call('DEL', LEASE)
    end
    if a[1] ~= '' and call('HGET', member_key(a[1]), 'writer') == WRITER then
        part(a)
    end
    return 1
end

-- a: who, holder, milliseconds of the claim, seconds for which the writer is remembered.
function ops.remain(a)
    call('EXPIRE', WRITER_KEY, a[4])
    return claim(a[1], a[2], a[3]) or ''
end
