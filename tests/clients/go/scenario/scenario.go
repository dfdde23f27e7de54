// Package scenario runs the steps of tests/clients/scenario.py and says what became of each.
package scenario

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"
)

// Topic is what every step works on.
const Topic = "suite"

// Group is the group of the steps that have one.
const Group = "three"

// Patience is for slow machines; nothing is measured with it.
const Patience = 60 * time.Second

// Codecs in the order of their steps.
var Codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// Login is what lets a client in, by TLS and each mechanism.
type Login struct {
	TLS                   *tls.Config
	User, Password, Token string
}

// Usual is the mechanism of all steps but those that are about another.
const Usual = "SCRAM-SHA-512"

// Required is nil where the broker lets everybody in.
func Required() *Login {
	if len(os.Args) < 6 {
		return nil
	}
	authority, err := os.ReadFile(os.Args[2])
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	return &Login{TLS: &tls.Config{RootCAs: pool}, User: os.Args[3], Password: os.Args[4], Token: os.Args[5]}
}

var failed bool

// Step runs one step.
func Step(name string, run func() error) {
	if err := run(); err != nil {
		failed = true
		fmt.Printf("fail %s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", " "))
		return
	}
	fmt.Printf("ok %s\n", name)
}

// Logins runs a step for each of these mechanisms, where the broker asks for a login.
func Logins(mechanisms []string, produce func(mechanism string, values []string) error) {
	if Required() == nil {
		return
	}
	for _, mechanism := range mechanisms {
		Step("login-"+mechanism, func() error { return produce(mechanism, Values("login", 10)) })
	}
}

// End tells the caller whether all went well.
func End() {
	if failed {
		os.Exit(1)
	}
}

// Values are what a step produces: PREFIX-0 and so on.
func Values(prefix string, count int) []string {
	values := make([]string, count)
	for number := range values {
		values[number] = fmt.Sprintf("%s-%d", prefix, number)
	}
	return values
}

// Same says where two lists differ first.
func Same(got, wanted []string) error {
	if len(got) != len(wanted) {
		return fmt.Errorf("%d values instead of %d", len(got), len(wanted))
	}
	for place, value := range wanted {
		if got[place] != value {
			return fmt.Errorf("value %d is %q instead of %q", place, got[place], value)
		}
	}
	return nil
}

// EachOnce says whether got holds every wanted value once, in whichever order.
func EachOnce(got, wanted []string) error {
	seen := map[string]int{}
	for _, value := range got {
		seen[value]++
	}
	for _, value := range wanted {
		if seen[value] != 1 {
			return fmt.Errorf("%q was read %d times", value, seen[value])
		}
	}
	return Same(make([]string, len(got)), make([]string, len(wanted)))
}

// Becomes waits until a value is as wanted: Apache Kafka answers a change before all of it knows.
func Becomes(wanted string, look func() (string, error)) error {
	for end := time.Now().Add(Patience); ; time.Sleep(100 * time.Millisecond) {
		found, err := look()
		if err != nil || found == wanted {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s instead of %s", found, wanted)
		}
	}
}

// Gone waits until the topic is there no more.
func Gone(look func() (there bool, err error)) error {
	return Becomes("there: false", func() (string, error) {
		there, err := look()
		return fmt.Sprintf("there: %t", there), err
	})
}

// Shared says whether three members hold two partitions, so that one has none.
func Shared(shares map[int]int) bool {
	total, idle := 0, 0
	for _, share := range shares {
		total += share
		if share == 0 {
			idle++
		}
	}
	return len(shares) == 3 && total == 2 && idle == 1
}
