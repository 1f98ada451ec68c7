"""What tests share: small nets and data, working copies, a cluster, kills."""
