module hippocrypt/bench/peers/smartbft

go 1.26.0

require (
	github.com/hyperledger-labs/SmartBFT v1.0.1
	google.golang.org/protobuf v1.36.11
)

require golang.org/x/sync v0.20.0 // indirect
