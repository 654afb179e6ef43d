-- The parts below are one script: the files of this directory in the order in which `redis_script.py` names them. Redis
-- makes every function of it anew in each run, so what calls do without is made only when it is needed: it is in `rest`.
-- KEYS[1] is the prefix of all keys, with the hash tag that keeps them on one slot.

local call = redis.call
local PREFIX = KEYS[1]
local WRITER, GENERATION, NUMBER, MARK = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local RETENTION, SLIDE, LOOK = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

-- A record is a hash of these fields, none of which is absent: what has no value is empty. Those that a call changes
-- come first, as a short hash is searched from its beginning. Times are seconds; dl and hu by the server's clock.
--   st status          dl deadline     if in_flight      hu hold_until    to timeout       cc call_count
--   ea expires_at      la last_call_at er end_reason     xc exit_code     xs exit_signal   en ended_at
--   sq order of creation               ow owner          ap app           av version       wk worker_id
--   ep epoch           ca created_at
local FIELDS = {
    'st', 'dl', 'if', 'hu', 'to', 'cc', 'ea', 'la', 'er', 'xc', 'xs', 'en', 'sq', 'ow', 'ap', 'av', 'wk', 'ep', 'ca',
}
local ST, DL, IF, HU, TO, CC, EA, LA, ER, XC, XS, EN = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
local SQ, OW, AP, AV, WK, EP, CA = 13, 14, 15, 16, 17, 18, 19

local ACTIVE = 'active'
local META, DUE = PREFIX .. 'meta', PREFIX .. 'due'

-- Numbers as text that is the same number when it is read: neither Lua's tostring nor a reply in numbers is.
local function real(number)
    return string.format('%.17g', number)
end

local function whole(number)
    return string.format('%.0f', number)
end

local function record_key(id)
    return PREFIX .. 's:' .. id
end

-- Of several gateways each has shards, and the id of a session has its shard behind the random letters. NO_SHARD stands
-- for what is without one: that of a gateway which had the prefix for itself.
local ID_LENGTH, NO_SHARD = 31, '-'

local function due_in(shard)
    return shard == NO_SHARD and DUE or DUE .. ':' .. shard
end

local function due_of(id)
    return #id <= ID_LENGTH and DUE or DUE .. ':' .. string.sub(id, ID_LENGTH + 1)
end

-- What has been read and is as it will be, by id; whose calls or window are to be written; and what was there before.
local read, moved, before = {}, {}, {}

local function load(id)
    local record = read[id]
    if record ~= nil then
        return record
    end
    record = call('HMGET', record_key(id), unpack(FIELDS))
    if record[ST] then
        record.id = id
    else
        record = false
    end
    read[id] = record
    return record
end

-- The moment from which a session is due. The end of a call may be on record later than it was told.
local function due_from(record)
    local deadline = tonumber(record[DL])
    if record[IF] == '0' then
        return deadline
    end
    return math.max(tonumber(record[HU]), deadline + SLIDE)
end

local function write_moved()
    if next(moved) == nil then
        return
    end
    for id, record in pairs(moved) do
        call('HSET', record_key(id), 'dl', record[DL], 'if', record[IF], 'hu', record[HU], 'cc', record[CC],
            'ea', record[EA], 'la', record[LA])
        if record[ST] == ACTIVE then
            call('ZADD', due_of(id), real(due_from(record)), id)
        end
    end
    moved = {}
end

-- Called before calls or the window of a record are changed: it is written with the others, once.
local function move(record)
    local id = record.id
    if before[id] == nil then
        before[id] = {record[DL], record[IF], record[HU], record[CC], record[EA], record[LA]}
    end
    moved[id] = record
end

-- The values of a record as the gateway reads them: those of gateway/stores/redis_rows.py.
local function values_of(record)
    return {record.id, record[OW], record[AP], record[AV], record[WK], record[EP], record[TO], record[CA], record[EA],
        record[DL], record[ST], record[ER], record[XC], record[XS], record[LA], record[EN], record[CC], record[IF]}
end
