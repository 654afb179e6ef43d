-- From ARGV[8] on: an operation, how many arguments it has, its arguments; and so on. Returns what each of them returns.

local function run(place)
    local name, count = ARGV[place], tonumber(ARGV[place + 1])
    local a = {}
    for number = 1, count do
        a[number] = ARGV[place + 1 + number]
    end
    return place + 2 + count, name, a
end

local function make(name)
    if not (of_record[name] or ops[name]) then
        need_rest()
    end
end

local function answer_of(name, a)
    make(name)
    local work = of_record[name]
    if work then
        local record = load(a[1])
        return record and work(record, a)
    end
    if of_indexes[name] then
        write_moved()
    end
    return ops[name](a)
end

local place, name, a = run(8)
make(name)
if of_writers[name] then
    return {of_writers[name](a)}
end
local wrong = check_writer()
if wrong then
    return redis.error_reply(wrong)
end
if NUMBER > 0 then
    -- First of all: where nothing can be written, nothing is changed.
    call('HSET', WRITER_KEY, 'nr', whole(NUMBER), 'un', '')
end
local replies = {}
while true do
    replies[#replies + 1] = answer_of(name, a)
    if place > #ARGV then
        break
    end
    place, name, a = run(place)
end
write_moved()
if NUMBER > 0 then
    call('HSET', WRITER_KEY, 'un', pack_before())
end
return replies
