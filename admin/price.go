package admin

import (
	"encoding/json"
	"regexp"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/store"
)

var (
	currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`)
	priceIntervals  = []string{"once", "day", "week", "month", "year"}
)

// A Price is what a plan costs. It is for the eyes of people: nobody is charged here.
type Price struct {
	Amount   string `json:"amount" doc:"An exact decimal."`
	Currency string `json:"currency" doc:"ISO 4217."`
	Interval string `json:"interval" enum:"once,day,week,month,year"`
}

// showPrice is null when there is none.
func showPrice(p *store.Plan) Optional[Price] {
	price := Price{Amount: p.PriceAmount, Currency: p.PriceCurrency, Interval: p.PriceInterval}
	return Optional[Price]{Value: price, Set: true, Null: price == Price{}}
}

// An Amount is a decimal as a request sent it, as text or as a number.
type Amount string

// UnmarshalJSON keeps a number as it was written. What is neither is no decimal, so it is reported as a wrong amount.
func (a *Amount) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		text = string(data)
	}
	*a = Amount(text)
	return nil
}

// Schema is that of a number, or of text.
func (Amount) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{{Type: huma.TypeString}, {Type: huma.TypeNumber}}}
}

// A PriceInput sets a price.
type PriceInput struct {
	Amount   Amount `json:"amount" doc:"From 0, with up to six decimals."`
	Currency string `json:"currency" doc:"ISO 4217: three upper-case letters."`
	Interval string `json:"interval" enum:"once,day,week,month,year"`
}

// apply writes the price into p and reports what is wrong with it. The zero value, which null is, takes the price away.
func (in *PriceInput) apply(p *store.Plan, f faults) {
	p.PriceAmount, p.PriceCurrency, p.PriceInterval = "", in.Currency, in.Interval
	if *in == (PriceInput{}) {
		return
	}
	var ok bool
	if p.PriceAmount, ok = decimal(string(in.Amount)); !ok {
		f.add("price.amount", decimalFault)
	}
	if !currencyPattern.MatchString(in.Currency) {
		f.add("price.currency", "Use the three upper-case letters of ISO 4217, such as EUR.")
	}
	f.oneOf("price.interval", in.Interval, priceIntervals...)
}
