package consent

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSchemaDifference(t *testing.T) {
	t.Parallel()
	s := Snapshot{
		TakenAt: noon, Subscriptions: []Subscription{{Name: "News"}, {Name: "Promo"}},
		Attributes: []Attribute{{Name: "age", Kind: Integer}, {Name: "shop", Kind: String, MaxLength: 20}, {Name: "old", Kind: Date}},
	}
	same := SchemaDifference{
		SubscriptionsAdded: []string{}, SubscriptionsRemoved: []string{}, AttributesAdded: []string{}, AttributesRemoved: []string{}, AttributesChanged: []AttributeChange{},
	}
	other := Seen{
		LookedAt: at(1), Subscriptions: []string{"Promotions", "News"},
		Attributes: []Attribute{{Name: "age", Kind: Integer}, {Name: "shop", Kind: String, MaxLength: 10}, {Name: "new", Kind: Date}},
	}
	stale := other
	stale.LookedAt = noon
	for name, c := range map[string]struct {
		seen Seen
		want SchemaDifference
	}{
		"never looked at":          {Seen{}, same},
		"before the snapshot":      {stale, same},
		"as it was, in any order":  {Seen{at(1), []string{"Promo", "News"}, s.Attributes}, same},
		"without an answer to one": {Seen{at(1), nil, s.Attributes}, same},
		"without the other":        {Seen{at(1), []string{"Promo", "News"}, nil}, same},
		"renamed and changed": {other, SchemaDifference{
			SubscriptionsAdded: []string{"Promotions"}, SubscriptionsRemoved: []string{"Promo"}, AttributesAdded: []string{"new"}, AttributesRemoved: []string{"old"},
			AttributesChanged: []AttributeChange{{Was: s.Attributes[1], Is: other.Attributes[1]}},
		}},
	} {
		got := s.Differs(&c.seen)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		if got.Empty() != (name != "renamed and changed") {
			t.Errorf("%s: empty is %v", name, got.Empty())
		}
	}
}
