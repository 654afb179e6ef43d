-- What is asked of all sessions, always by an index, and in pieces of at most LOOK entries.

-- a: seen, limit, the shards in which to look.
function ops.due(a)
    local found, limit = {}, tonumber(a[2])
    for place = 3, #a do
        for _, id in ipairs(call('ZRANGEBYSCORE', due_in(a[place]), '-inf', a[1], 'LIMIT', 0, limit - #found)) do
            found[#found + 1] = id
        end
        if #found == limit then
            break
        end
    end
    return found
end

-- a: owner, limit.
function ops.count(a)
    return math.min(call('ZCARD', by_status(a[1], ACTIVE)), tonumber(a[2]))
end

local function index_for(owner, status, app)
    if owner == '' then
        return status == ACTIVE and LIVE or ALL
    end
    if status ~= '' then
        return by_status(owner, status)
    end
    return app ~= '' and by_app(owner, app) or by_owner(owner)
end

-- a: the place in the order of creation before which to look ('' for the end), limit, owner, status, app, version ('' for
-- any). Returns the place of the last entry that was looked at, whether there are more behind it, and of each
-- session that passes the filter its place and its values.
function ops.page(a)
    local limit, owner, status, app, version = tonumber(a[2]), a[3], a[4], a[5], a[6]
    local from = a[1] == '' and '+inf' or '(' .. a[1]
    local look = math.min(LOOK, app == '' and version == '' and limit or LOOK)
    local entries = call('ZREVRANGEBYSCORE', index_for(owner, status, app), from, '-inf', 'WITHSCORES',
        'LIMIT', 0, look)
    local found, at = {}, ''
    for place = 1, #entries, 2 do
        at = entries[place + 1]
        local record = load(entries[place])
        if record and (status == '' or record[ST] == status) and (app == '' or record[AP] == app)
            and (version == '' or record[AV] == version) then
            found[#found + 1] = {at, values_of(record)}
            if #found == limit then
                break
            end
        end
    end
    return {at, #entries == 2 * look and 1 or 0, found}
end

-- a: wall-clock time. Returns how many were forgotten, and whether there may be more.
function ops.purge(a)
    local entries = call('ZRANGEBYSCORE', DONE, '-inf', '(' .. a[1], 'LIMIT', 0, LOOK)
    for _, entry in ipairs(entries) do
        local id, owner, status, app = unpack(cmsgpack.unpack(entry))
        unindex(id, owner, status, app)
        call('ZREM', DONE, entry)
        call('DEL', record_key(id))
        read[id] = nil
    end
    return {#entries, #entries == LOOK and 1 or 0}
end

of_indexes.due, of_indexes.count, of_indexes.page, of_indexes.purge = true, true, true, true
