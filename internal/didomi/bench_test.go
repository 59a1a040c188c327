package didomi

import "testing"

// BenchmarkWebhook is all that the way in does with a payload.
func BenchmarkWebhook(b *testing.B) {
	for _, name := range []string{"event-created", "flat-index"} {
		p, err := Parse(sample(b, name))
		if err != nil {
			b.Fatal(err)
		}
		body := p.Canonical() // without the space that is for readers
		run := func(what string, f func() error) {
			b.Run(name+"/"+what, func(b *testing.B) {
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("both", func() error {
			p, err := Parse(body)
			if err != nil {
				return err
			}
			p.Canonical()
			_, err = p.Message(organization)
			return err
		})
		run("decode", func() error { _, err := Decode(body, organization); return err })
		run("canonical", func() error { _, err := Canonical(body); return err })
	}
}
