package store

import (
	"cmp"
	"context"

	"gorm.io/gorm"
)

// The people of a circle may be a handful of everybody, or most, and no one way to list them suits both. A few are gathered and
// sorted. Of more, the list of everybody is walked in its order, and each person asked: a page is soon full, since they are many. But
// they may lie together somewhere in that order, all having come last week; so a walk that takes too long is given up, and they are
// gathered after all.
const (
	// surveyed is how many people of a circle are counted unless the total of the list says otherwise.
	surveyed = 10_000
	// gathering divides it: a circle of so many people is gathered.
	gathering = 4
	// haste divides it: so many people are looked up on a walk before the circle is read as a whole.
	haste = 8
	// patience multiplies it: so many people are asked then.
	patience = 3
	// foundPages is how many pages of those whom a search found are looked up before all of them are asked.
	foundPages = 8
	// sampling divides it: so many are asked to guess how many of those whom the other filters leave are in a big circle.
	sampling = 20
)

// circlePage returns a page of those whom l lists and who are in the circles that q names. It takes a statement or two for each
// circle, one for the page, or up to four where a walk is given up, and one for the total where other filters must be counted, too.
func (s *Store) circlePage(ctx context.Context, q UserQuery, l listing) (*Page[User], error) {
	ctx = planned(ctx)
	upTo := cmp.Or(q.CountTo, surveyed)
	circles, err := s.circles(ctx, q, upTo)
	if err != nil {
		return nil, err
	}
	people := l
	people.gathered = func() *gorm.DB { return l.places(s.inCircles(ctx, q, circles)) }
	if circles[0].size <= upTo/gathering {
		return findPage[User](ctx, s, q.Paging, people)
	}
	page, err := s.walk(ctx, q, l, circles, int(upTo))
	if err == nil && page == nil && q.Search != "" {
		people.gathered = func() *gorm.DB { return l.places(s.foundInCircles(ctx, l, circles)) }
		return findPage[User](ctx, s, q.Paging, people)
	}
	if err == nil && page == nil {
		uncounted := q.Paging
		uncounted.CountTo = 0
		page, err = findPage[User](ctx, s, uncounted, people)
	}
	if err == nil && q.CountTo > 0 {
		err = s.countCircles(ctx, q, l, circles, page)
	}
	return page, err
}

// inCircles selects the people of the first circle whom q does not leave out, and of them those who are in the other one, too. They
// are searched when they have been gathered: how many a search would find among everybody, the planner can only guess.
func (s *Store) inCircles(ctx context.Context, q UserQuery, circles []circle) *gorm.DB {
	people := s.db(ctx).Model(&User{}).Where("users.id IN (?)", circles[0].people(s.db(ctx)))
	if q.Search != "" {
		people = s.db(ctx).Table("(? LIMIT "+unlimited+") AS users", people).Where(s.either(q.search()))
	}
	return asked(s.filterUsers(people, q), circles[1:], lookedUp)
}

// foundInCircles selects the people in the circles whom a search found, by the indexes alone.
func (s *Store) foundInCircles(ctx context.Context, l listing, circles []circle) *gorm.DB {
	found := s.db(ctx).Table("(? LIMIT "+unlimited+") AS users", l.ids()) // so that they are asked together, and not each part for itself
	return s.db(ctx).Model(&User{}).Where("users.id IN (?)", asked(found, circles, remembered).Select("users.id"))
}

// walk asks those whom l lists, in its order, until the page is full. It returns nil when it gave up before that. People whom a
// search finds are only walked if the circle is big.
func (s *Store) walk(ctx context.Context, q UserQuery, l listing, circles []circle, upTo int) (*Page[User], error) {
	ahead := func(limit int) *gorm.DB {
		next := Paging{Descending: q.Descending, After: q.After, Limit: limit - 1}
		return s.db(ctx).Table("(?) AS users", l.ahead(s.db(ctx), next))
	}
	if !circles[0].small {
		limit := upTo/haste + 1
		if q.Search != "" {
			limit = foundPages * (q.Limit + 1)
		}
		page, err := s.firstPlaces(ctx, q.Paging, asked(ahead(limit), circles, lookedUp))
		if err != nil || page.More {
			return page, err
		}
	}
	if q.Search != "" {
		return nil, nil
	}
	limit := upTo * patience
	page, err := s.firstPlaces(ctx, q.Paging, asked(ahead(limit), circles, remembered))
	if err != nil || page.More {
		return page, err
	}
	var met int
	if err := ahead(limit).Select("count(*)").Scan(&met).Error; err != nil {
		return nil, known(err)
	}
	if met >= limit {
		return nil, nil
	}
	return page, nil
}

// firstPlaces returns the page of people whose places in the list come first.
func (s *Store) firstPlaces(ctx context.Context, q Paging, places *gorm.DB) (*Page[User], error) {
	first := places.Select("users.id, users.place").Order(q.inOrder("users.place", "users.id")).Limit(q.Limit + 1)
	var users []User
	err := s.db(ctx).Table("(?) AS page", first).Joins("JOIN users ON users.id = page.id").Select("users.*").
		Order(q.inOrder("page.place", "page.id")).Find(&users).Error
	if err != nil {
		return nil, known(err)
	}
	return &Page[User]{Items: users[:min(len(users), q.Limit)], More: len(users) > q.Limit}, nil
}

// countCircles sets the total of a page: what the survey found, if nothing else is filtered; those who are in the circles, if
// they can be counted; and else what some of those who match the filters let expect.
func (s *Store) countCircles(ctx context.Context, q UserQuery, l listing, circles []circle, page *Page[User]) error {
	page.Total = min(circles[0].size, q.CountTo+1)
	if len(circles) > 1 || q.filtered() {
		if page.Total > q.CountTo {
			return s.sample(ctx, q, l, circles, page)
		}
		rows := s.inCircles(ctx, q, circles).Select("1")
		if err := s.db(ctx).Table("(?) AS matching", rows).Select("count(*)").Scan(&page.Total).Error; err != nil {
			return known(err)
		}
	}
	page.Estimated = page.Total > q.CountTo
	return nil
}

// sample asks some of those who match the other filters and sets the total to as many as CountTo of them would yield, and at least to
// what the page shows. If there are no more than it asked, the total is exact.
func (s *Store) sample(ctx context.Context, q UserQuery, l listing, circles []circle, page *Page[User]) error {
	limit := q.CountTo/sampling + 1
	some := func() *gorm.DB { return s.db(ctx).Table("(? LIMIT ?) AS users", l.ids(), limit) }
	var n struct{ Met, Found int64 }
	err := s.db(ctx).Raw("SELECT (?) AS met, (?) AS found", some().Select("count(*)"), asked(some(), circles, lookedUp).Select("count(*)")).Scan(&n).Error
	if err != nil {
		return known(err)
	}
	if page.Total = n.Found; n.Met == limit {
		page.Total, page.Estimated = max(n.Found*q.CountTo/limit, n.Found, int64(len(page.Items))), true
	}
	return nil
}
