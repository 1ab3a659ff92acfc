package consumption

// Running reports whether calls share transactions by now.
func (s *Service) Running() bool {
	s.queue.mu.RLock()
	defer s.queue.mu.RUnlock()
	return s.queue.lines != nil
}
