module consentsync

go 1.26.8

require code.dny.dev/ssrf v0.3.0 // indirect
