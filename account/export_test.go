package account

// OccupySlots takes all slots of the hasher until the returned function gives them back.
func (h *Hasher) OccupySlots() (release func()) {
	h.ready()
	for range cap(h.slots) {
		h.slots <- struct{}{}
	}
	return func() {
		for range cap(h.slots) {
			<-h.slots
		}
	}
}
