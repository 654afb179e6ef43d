-- From ARGV[8] on: an operation, how many arguments it has, its arguments; and so on. Returns what each of them returns.

local OF_WRITERS = {enter = enter, recover = recover, leave = leave}

local function run(place)
    local name, count = ARGV[place], tonumber(ARGV[place + 1])
    local a = {}
    for number = 1, count do
        a[number] = ARGV[place + 1 + number]
    end
    return place + 2 + count, name, a
end

local place, name, a = run(8)
if OF_WRITERS[name] then
    return {OF_WRITERS[name](a)}
end
local wrong = check_writer()
if wrong then
    return redis.error_reply(wrong)
end
local events = call('HGET', META, 'events')
if NUMBER > 0 then
    -- First of all: where nothing can be written, nothing is changed.
    call('HSET', WRITER_KEY, 'nr', whole(NUMBER), 'un', '')
end
local replies = {}
while true do
    if OF_ALL[name] then
        write_moved()
    end
    replies[#replies + 1] = ops[name](a)
    if place > #ARGV then
        break
    end
    place, name, a = run(place)
end
write_moved()
if NUMBER > 0 then
    call('HSET', WRITER_KEY, 'un', pack_before(events))
end
return replies
