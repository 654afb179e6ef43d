-- A writer is a store that some gateway has open. What it is known by here is `w:<writer>`: its generation (gn), the
-- number of the last batch of it that ran (nr), and how to take that one back (un). A batch of another generation, or
-- one that does not follow the last one, is refused: it comes late, or what it builds on has been lost.

local WRITER_KEY = PREFIX .. 'w:' .. WRITER
local FENCED, GONE = 'fenced', 'GONE '

local function check_writer()
    local known = call('HMGET', WRITER_KEY, 'gn', 'nr')
    if not known[1] then
        return GONE .. 'what was on record has been deleted, or this is another data set'
    end
    if known[1] == FENCED then
        return 'FENCED what this gateway had was given to another one'
    end
    if known[1] ~= GENERATION then
        return GONE .. 'this is of an earlier connection'
    end
    if NUMBER > 0 and tonumber(known[2]) ~= NUMBER - 1 or NUMBER <= 0 and tonumber(known[2]) ~= -NUMBER then
        return GONE .. 'the data set is an earlier state: something that was on record is lost'
    end
end

-- The number of the last event before those of this batch, if it has told any.
local events_before = false

local function pack_before()
    local images = {}
    for id, image in pairs(before) do
        images[#images + 1] = {id, image}
    end
    return cmsgpack.pack({events_before, images, MARK})
end
