// Go's clientv3 against d-engine: what its users do most. Arguments: the servers, as host:port. It prints a line for
// each thing that held, and ends with status 1 at the first that did not.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"
)

const workers = 4

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Second)
	defer cancel()
	client, err := clientv3.New(clientv3.Config{
		Endpoints: os.Args[1:], DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
	})
	must(err)
	defer client.Close()

	keys(ctx, client)
	watches(ctx, client)
	leases(ctx, client)
	mutexes(ctx, client)
	elections(ctx, client)
	transfers(ctx, client)
}

func keys(ctx context.Context, client *clientv3.Client) {
	put, err := client.Put(ctx, "k", "1")
	must(err)
	got, err := client.Get(ctx, "k", clientv3.WithRev(put.Header.Revision))
	must(err)
	require(len(got.Kvs) == 1 && string(got.Kvs[0].Value) == "1", "a value is put and read at its revision")
	for i := range 25 {
		_, err := client.Put(ctx, fmt.Sprintf("p/%02d", i), "")
		must(err)
	}
	page, err := client.Get(ctx, "p/", clientv3.WithPrefix(), clientv3.WithLimit(10), clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
	must(err)
	require(len(page.Kvs) == 10 && page.More && page.Count == 25 && string(page.Kvs[0].Key) == "p/24", "a sorted page of a prefix")
	txn, err := client.Txn(ctx).
		If(clientv3.Compare(clientv3.Value("k"), "=", "1"), clientv3.Compare(clientv3.Version("none"), "=", 0)).
		Then(clientv3.OpPut("k", "2"), clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpGet("k")}, nil)).
		Else(clientv3.OpGet("k")).Commit()
	must(err)
	require(txn.Succeeded && len(txn.Responses) == 2, "a nested transaction")
	_, err = client.Compact(ctx, txn.Header.Revision)
	must(err)
	_, err = client.Get(ctx, "k", clientv3.WithRev(2))
	require(errors.Is(err, rpctypes.ErrCompacted), "what is compacted is the client's own ErrCompacted")
	_, err = client.Get(ctx, "k", clientv3.WithRev(1<<40))
	require(errors.Is(err, rpctypes.ErrFutureRev), "what is to come is its ErrFutureRev")
	_, err = client.Put(ctx, "", "")
	require(errors.Is(err, rpctypes.ErrEmptyKey), "an empty key is its ErrEmptyKey")
	status, err := client.Status(ctx, client.Endpoints()[0])
	must(err)
	require(status.Leader != 0 && status.Version != "", "a server tells its version and its leader")
}

func watches(ctx context.Context, client *clientv3.Client) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	watch := client.Watch(ctx, "w/", clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithCreatedNotify())
	created := <-watch
	require(created.Created, "a watch says when it has begun")
	for i := range 100 {
		_, err := client.Put(ctx, "w/a", strconv.Itoa(i))
		must(err)
	}
	seen := 0
	for seen < 100 {
		response := <-watch
		must(response.Err())
		for _, event := range response.Events {
			if string(event.Kv.Value) != strconv.Itoa(seen) || (seen > 0 && string(event.PrevKv.Value) != strconv.Itoa(seen-1)) {
				require(false, fmt.Sprintf("event %d is %s", seen, event))
			}
			seen++
		}
	}
	require(true, "a watch tells 100 changes in order, with what was before")
	must(client.RequestProgress(ctx))
	progress := <-watch
	require(progress.IsProgressNotify(), "and its progress when it is asked")
	compacted := <-client.Watch(ctx, "w/", clientv3.WithRev(2))
	require(errors.Is(compacted.Err(), rpctypes.ErrCompacted) && compacted.CompactRevision > 2, "a watch of compacted history is told so")
}

func leases(ctx context.Context, client *clientv3.Client) {
	lease, err := client.Grant(ctx, 2)
	must(err)
	_, err = client.Put(ctx, "leased", "", clientv3.WithLease(lease.ID))
	must(err)
	kept, cancel := context.WithCancel(ctx)
	renewals, err := client.KeepAlive(kept, lease.ID)
	must(err)
	for range 6 {
		require((<-renewals).TTL >= 2, "a lease is kept alive")
	}
	cancel()
	gone := client.Watch(ctx, "leased")
	event := (<-gone).Events[0]
	require(event.Type == clientv3.EventTypeDelete, "and its key goes with it when it is not")
	left, err := client.TimeToLive(ctx, lease.ID)
	must(err)
	require(left.TTL == -1, "an ended lease has no time to live")
	_, err = client.Revoke(ctx, lease.ID)
	require(errors.Is(err, rpctypes.ErrLeaseNotFound), "and cannot be revoked")
}

// Each adds to a number that it reads and writes without a transaction: only the mutex keeps them apart.
func mutexes(ctx context.Context, client *clientv3.Client) {
	const rounds = 15
	_, err := client.Put(ctx, "count", "0")
	must(err)
	var group sync.WaitGroup
	for range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			session, err := concurrency.NewSession(client, concurrency.WithTTL(5))
			must(err)
			defer session.Close()
			mutex := concurrency.NewMutex(session, "mutex")
			for range rounds {
				must(mutex.Lock(ctx))
				got, err := client.Get(ctx, "count")
				must(err)
				count, err := strconv.Atoi(string(got.Kvs[0].Value))
				must(err)
				_, err = client.Txn(ctx).If(mutex.IsOwner()).Then(clientv3.OpPut("count", strconv.Itoa(count+1))).Commit()
				must(err)
				must(mutex.Unlock(ctx))
			}
		}()
	}
	group.Wait()
	got, err := client.Get(ctx, "count")
	must(err)
	require(string(got.Kvs[0].Value) == strconv.Itoa(workers*rounds), "a mutex keeps its holders apart")
	holder, err := concurrency.NewSession(client)
	must(err)
	defer holder.Close()
	other, err := concurrency.NewSession(client)
	must(err)
	defer other.Close()
	must(concurrency.NewMutex(holder, "tried").TryLock(ctx))
	require(errors.Is(concurrency.NewMutex(other, "tried").TryLock(ctx), concurrency.ErrLocked), "a mutex that is held cannot be had by trying")
}

func elections(ctx context.Context, client *clientv3.Client) {
	first, err := concurrency.NewSession(client, concurrency.WithTTL(5))
	must(err)
	second, err := concurrency.NewSession(client, concurrency.WithTTL(5))
	must(err)
	defer second.Close()
	office, next := concurrency.NewElection(first, "office"), concurrency.NewElection(second, "office")
	must(office.Campaign(ctx, "first"))
	observed := next.Observe(ctx)
	require(string((<-observed).Kvs[0].Value) == "first", "an elected leader is observed")
	must(office.Proclaim(ctx, "still first"))
	require(string((<-observed).Kvs[0].Value) == "still first", "and what it proclaims")
	elected := make(chan error, 1)
	go func() { elected <- next.Campaign(ctx, "second") }()
	// A leader that goes without a word: its session ends.
	must(first.Close())
	must(<-elected)
	leader, err := next.Leader(ctx)
	must(err)
	require(string(leader.Kvs[0].Value) == "second", "the next is elected when the first has gone")
	must(next.Resign(ctx))
	_, err = next.Leader(ctx)
	require(errors.Is(err, concurrency.ErrElectionNoLeader), "who has resigned leads no more")
}

// Money goes round between accounts, in software transactional memory; none is made or lost.
func transfers(ctx context.Context, client *clientv3.Client) {
	const accounts, money = 4, 100
	for i := range accounts {
		_, err := client.Put(ctx, fmt.Sprintf("account/%d", i), strconv.Itoa(money))
		must(err)
	}
	for _, isolation := range []concurrency.Isolation{concurrency.SerializableSnapshot, concurrency.Serializable} {
		var group sync.WaitGroup
		for worker := range workers {
			group.Add(1)
			go func() {
				defer group.Done()
				for round := range 15 {
					from, to := fmt.Sprintf("account/%d", (worker+round)%accounts), fmt.Sprintf("account/%d", (worker+2*round+1)%accounts)
					if from == to {
						continue
					}
					_, err := concurrency.NewSTM(client, func(stm concurrency.STM) error {
						left, _ := strconv.Atoi(stm.Get(from))
						there, _ := strconv.Atoi(stm.Get(to))
						stm.Put(from, strconv.Itoa(left-round))
						stm.Put(to, strconv.Itoa(there+round))
						return nil
					}, concurrency.WithIsolation(isolation), concurrency.WithAbortContext(ctx))
					must(err)
				}
			}()
		}
		group.Wait()
	}
	all, err := client.Get(ctx, "account/", clientv3.WithPrefix())
	must(err)
	sum := 0
	for _, account := range all.Kvs {
		has, err := strconv.Atoi(string(account.Value))
		must(err)
		sum += has
	}
	require(sum == accounts*money, "transactions in STM neither make money nor lose it")
}

func require(holds bool, text string) {
	if !holds {
		fmt.Println("not so:", text)
		os.Exit(1)
	}
	fmt.Println("  ✓", text)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
