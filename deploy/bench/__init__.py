"""The measurements that README quotes, each on real parts; figures go to build/evidence."""
