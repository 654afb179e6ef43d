-- Calls and keepalives. `a` are an operation's arguments; times are seconds, `seen` is the moment by which a session may
-- be found due: a little before now, as the clocks of gateways differ.

-- Operations by their names: those of one session, which find its record loaded and whose a[1] is its id; all others; and
-- of these the ones that look into indexes, so that what they find must be written. Those of writers come alone.
local of_record, ops, of_indexes, of_writers = {}, {}, {}, {}

-- What calls do without, unless their session is over: made by `rest`, which is behind them.
local rest, finish_as

local function need_rest()
    if not finish_as then
        rest()
    end
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

local function expire(record, wall)
    need_rest()
    finish_as(record, 'expired', 'idle_timeout', wall, '', '')
end

-- a: "=" and the owner ('' for anybody).
function of_record.get(record, a)
    return (a[2] == '' or a[2] == '=' .. record[OW]) and values_of(record)
end

-- a: now, wall, seen, hold_until, epoch.
function of_record.admit(record, a)
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
end

-- a: now, wall, 1 if it is taken back from the count, epoch.
function of_record.finish(record, a)
    end_calls(record, 1, tonumber(a[2]), tonumber(a[3]), tonumber(a[4]))
    return answer(record, a[5])
end

-- a: now, wall, how many calls: of the last one the moment.
function of_record.ends(record, a)
    end_calls(record, tonumber(a[4]), tonumber(a[2]), tonumber(a[3]), 0)
    return 1
end

-- a: now, wall, seen, epoch.
function of_record.renew(record, a)
    if record[ST] == ACTIVE then
        if due_from(record) <= tonumber(a[4]) then
            expire(record, a[3])
        else
            move(record)
            slide(record, tonumber(a[2]), tonumber(a[3]))
        end
    end
    return answer(record, a[5])
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
