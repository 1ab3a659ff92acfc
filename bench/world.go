package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
)

// A world is what a generated database holds: how much of each kind, and what belongs to what. All of it is computed from
// the seed and an index, so that a row can name another one that is written elsewhere, or was in another run. Only times
// count from the day of the run: sessions must be alive.
type world struct {
	seed uint64
	now  time.Time

	users, organizations, applications, memberships int
	assignments, sessions, consents, grants         int
	events, invitations, personalSubscriptions      int

	weight float64 // of all organizations together, see members
}

// Kinds of things that have ids, and of choices that must not depend on one another.
const (
	kindUser uint64 = iota
	kindOrganization
	kindMember
	kindInvitation
	kindApplication
	kindClient
	kindSecret
	kindPermission
	kindRole
	kindAssignment
	kindPlan
	kindSubscription
	kindSession
	kindGrant
	kindEvent
	kindStatistic
	choosePopular
	chooseSize
	chooseOther
)

const (
	history     = 3 * 365 * 24 * time.Hour // how long ago the first of each kind was created
	maxParts    = 100                      // no application has as many of one kind
	skew        = 0.65                     // of the organizations' sizes: the biggest of 100,000 has 10,000 of 1.6 million members
	plansPerApp = 3
)

// newWorld sizes a world: at scale 1 it has a million people.
func newWorld(scale float64, grants int, seed uint64) *world {
	of := func(n, least int) int { return max(int(math.Round(float64(n)*scale)), least) }
	w := &world{
		seed: seed, now: time.Now().UTC().Truncate(time.Second),
		users: of(1_000_000, 1000), organizations: of(100_000, 100), applications: of(1000, 5), memberships: of(1_600_000, 1600),
		assignments: of(1_000_000, 1000), sessions: of(200_000, 200), consents: of(1_000_000, 1000), grants: of(grants, 1000),
		events: of(1_000_000, 1000), invitations: of(200_000, 200), personalSubscriptions: of(200_000, 200),
	}
	for k := range w.organizations {
		w.weight += math.Pow(float64(k+1), -skew)
	}
	return w
}

// sizes tell one world from another of the same seed.
func (w *world) sizes() []int {
	return []int{w.users, w.organizations, w.applications, w.memberships, w.assignments, w.sessions, w.consents, w.grants, w.events, w.invitations, w.personalSubscriptions}
}

// mix is a number that looks random and depends on the seed, what it is for and the index alone (SplitMix64).
func (w *world) mix(kind uint64, i int) uint64 {
	z := w.seed + 0x9e3779b97f4a7c15*(uint64(i)*64+kind+1)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// pick chooses one of n.
func (w *world) pick(kind uint64, i, n int) int { return int(w.mix(kind, i) % uint64(n)) }

// popular chooses one of n as people choose: the first is twice as popular as the second, and so on (Zipf).
func (w *world) popular(kind uint64, i, n int) int {
	u := float64(w.mix(kind, i)>>11) / (1 << 53)
	return int(math.Pow(float64(n), u)) - 1
}

// id is the UUIDv7 of the i-th of n things of a kind. They sort as they were created.
func (w *world) id(kind uint64, i, n int) string {
	var b [16]byte
	at := time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC).Add(history / time.Duration(n) * time.Duration(i))
	binary.BigEndian.PutUint64(b[:8], uint64(at.UnixMilli())<<16|w.mix(kind, i)&0xffff)
	binary.BigEndian.PutUint64(b[8:], w.mix(kind, i)*0x9e3779b97f4a7c15)
	b[6], b[8] = b[6]&0x0f|0x70, b[8]&0x3f|0x80
	return uuid.UUID(b).String()
}

// at is when the i-th of n things was created.
func (w *world) at(i, n int) time.Time {
	return w.now.Add(-history).Add(history / time.Duration(n) * time.Duration(i))
}

func (w *world) user(i int) string         { return w.id(kindUser, i%w.users, w.users) }
func (w *world) organization(k int) string { return w.id(kindOrganization, k, w.organizations) }
func (w *world) application(a int) string  { return w.id(kindApplication, a, w.applications) }
func (w *world) plan(a, p int) string      { return w.part(kindPlan, a, p) }
func (w *world) role(a, r int) string      { return w.part(kindRole, a, r) }

// part is the id of one of the things that an application has several of.
func (w *world) part(kind uint64, a, i int) string {
	return w.id(kind, a*maxParts+i, w.applications*maxParts)
}

func (w *world) roles(a int) int       { return 5 + w.pick(kindRole, a, 16) }
func (w *world) permissions(a int) int { return 20 + w.pick(kindPermission, a, 81) }
func (w *world) clients(a int) int     { return 1 + w.pick(kindClient, a, 3) }

// client is a client_id: the first is that of a web application, the others are that of a single page and of a machine.
func (w *world) client(a, c int) string {
	return fmt.Sprintf("%s-%s", w.slug(a), [...]string{"web", "spa", "m2m"}[c])
}

// members is how many an organization has: a few have very many, most have a handful.
func (w *world) members(k int) int {
	return max(int(float64(w.memberships)*math.Pow(float64(k+1), -skew)/w.weight), 1)
}

// member is the j-th member of an organization, each of them somebody else.
func (w *world) member(k, j int) int {
	const stride = 7919 // a prime that divides no number of users that a sensible scale gives
	return (w.pick(chooseSize, k, w.users) + j*stride) % w.users
}

// people is a name for the i-th person, and the beginning of an address.
func (w *world) person(i int) (name, address string) {
	given, family := givenNames[w.pick(kindUser, i, len(givenNames))], familyNames[w.pick(chooseOther, i, len(familyNames))]
	plain := strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || r == '\'' || r == ' ' {
			return -1
		}
		return unicode.ToLower(r)
	}, given+"."+family)
	return given + " " + family, plain
}

func (w *world) email(i int) string {
	_, address := w.person(i)
	return fmt.Sprintf("%s%d@%s", address, i, domains[w.popular(kindUser, i, len(domains))])
}

// company is a name, and with what it has of its own a slug.
func (w *world) company(kind uint64, i int) (name, slug string) {
	first, second := companyWords[w.pick(kind, i, len(companyWords))], trades[w.pick(chooseOther, i, len(trades))]
	return first + " " + second, strings.ToLower(fmt.Sprintf("%s-%s-%d", first, second, i))
}

func (w *world) slug(a int) string {
	_, slug := w.company(kindApplication, a)
	return slug
}

var givenNames = strings.Fields(`Ada Aisha Alejandro Amara Amélie Ana Anders Andrea Anna Antonio Arjun Astrid Ayşe Beatriz Benjamin Bruno
	Camille Carlos Charlotte Chen Chiara Christopher Clara Daniel David Diego Dmitri Elena Elif Emeka Emma Erik Fatima Felix Francesca
	Gabriel George Giulia Grace Hannah Hans Haruto Helena Hiroshi Hugo Ibrahim Ingrid Isabel Ivan Jack James Jan Jana Javier Jean Jonas
	José Julia Kaito Karin Katarzyna Kofi Lars Laura Lea Leila Leon Li Lucas Lucía Łukasz Maja Manuel Marc Margaret Maria Mariam Marie
	Marta Martin Mateo Matthew Mei Michael Mikael Mohammed Nadia Ngozi Nicolás Nina Noah Olivia Omar Oscar Paul Pedro Peter Priya Rafael
	Ravi Rebecca Robert Rosa Ruth Samuel Sara Sebastian Sofia Søren Stefan Susan Tariq Thomas Tomasz Valentina Victor Wei William Yara
	Yuki Yusuf Zoë`)

var familyNames = strings.Fields(`Abdullah Adeyemi Ahmed Almeida Andersen Andersson Bakker Baker Bauer Becker Bernard Bianchi Brown Campbell
	Carter Chavez Clark Cohen Cooper Costa Cruz Davies Diallo Díaz Dubois Dupont Edwards Eriksson Evans Fernández Ferrari Fischer Flores
	Fontaine Garcia Gomez González Gupta Hall Hansen Harris Hernández Hill Hoffmann Horváth Hughes Ivanov Jackson Jansen Jensen Johansson
	Johnson Jones Kaya Khan Kim King Klein Kobayashi Koch Kovács Kowalski Kumar Lambert Larsen Laurent Lee Lehmann Lewis Lindberg López
	Martin Martínez Mendoza Meyer Mensah Miller Mitchell Moore Moreau Morris Müller Murphy Nakamura Nguyen Nielsen Novák Nowak O'Brien
	Okafor Oliveira Olsen Owusu Patel Pereira Peterson Petrov Phillips Popescu Ramírez Reyes Ricci Richter Rivera Roberts Robinson
	Rodríguez Romano Rossi Roux Russo Sánchez Santos Sato Schmidt Schneider Schulz Sharma Silva Singh Smirnov Smith Suzuki Svensson Takahashi
	Tanaka Taylor Thompson Torres Tran Turner Van-Dijk Vargas Virtanen Wagner Walker Wang Watanabe Weber White Williams Wilson Wolf Wright
	Yamamoto Yilmaz Young Zhang Zimmermann`)

var domains = strings.Fields(`gmail.example outlook.example yahoo.example icloud.example proton.example acme.example globex.example
	initech.example umbrella.example hooli.example stark.example wayne.example`)

var companyWords = strings.Fields(`Acme Alder Amber Apex Arc Aurora Beacon Birch Blue Bright Cedar Cobalt Copper Coral Crest Delta Dune Echo Ember
	Falcon Fern Fjord Flint Forge Garnet Globex Granite Harbor Hazel Helix Indigo Initech Ivory Jade Juniper Keystone Lark Lumen Maple
	Meridian Nimbus North Nova Oak Onyx Opal Orbit Osprey Pearl Pine Pioneer Quartz Raven Ridge River Sable Sage Sierra Slate Solar Spruce
	Sterling Summit Terra Tidal Topaz Umbra Vertex Violet Willow Zenith Zephyr`)

var trades = strings.Fields(`Accounting Analytics Books Capital Clinic Cloud Consulting Courier Dental Design Energy Events Farms Foods Freight
	Gardens Health Hotels Insurance Invoicing Labs Legal Logistics Media Motors Music Networks Optics Payroll Pharma Planning Printing
	Properties Robotics Schools Security Software Studios Systems Textiles Travel Works`)
