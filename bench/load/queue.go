package main

import "slices"

// queue holds slots in order. The zero value is empty.
type queue struct {
	slots []*slot
	first int
}

func (q *queue) len() int { return len(q.slots) - q.first }

func (q *queue) push(s *slot) {
	if q.first > 0 && len(q.slots) == cap(q.slots) {
		q.slots = q.slots[:copy(q.slots, q.slots[q.first:])]
		q.first = 0
	}
	q.slots = append(q.slots, s)
}

// pop removes the slot that has been in the queue for longest; the queue must not be empty.
func (q *queue) pop() *slot {
	s := q.slots[q.first]
	q.first++
	if q.first == len(q.slots) {
		q.slots, q.first = q.slots[:0], 0
	}
	return s
}

// remove takes a slot out of the queue, if it is in it.
func (q *queue) remove(s *slot) {
	if i := slices.Index(q.slots[q.first:], s); i >= 0 {
		q.slots = slices.Delete(q.slots, q.first+i, q.first+i+1)
	}
}
